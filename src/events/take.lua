#!lua flags=allow-oom
-- Walks inboxes in the order given and hands out at most `count` entries altogether (XREADGROUP's COUNT is per stream).
-- Reading takes no memory that matters, so it goes on when memory is full: work that ends is what frees it.
-- KEYS  inboxes (streams)
-- ARGV  group, consumer, count, '>' (new ones) or '0' (those already in this consumer's hands), 1 to name the last entries,
--       1 if documents' histories are to come along, 1 if entries are named behind which alone is to be looked; then, as far
--       as there is a 1, for each inbox what the keys of its partition begin with, and for each inbox that entry
-- Also reads, by names made here (one slot with the inbox): history (list) of documents, log (stream), meta (hash)
-- Answers {{inbox, entry id, pointer, ...}, {inbox, last entry id, ...}, if they are asked for: of all where nothing was
--   found, or of those with something behind the entry named, {a history for each entry, as far as they are asked for}};
--   a history is {epoch, then for each event: entry id, envelope, number}, or empty where it is not brought
-- Where the last entries are asked for, somebody is going to wait: each inbox has its group afterwards.
local group, consumer, rest, from = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4]
local PREFIXES_AT = 7 -- behind it
local names_last, brings_histories, is_behind = ARGV[5] == '1', ARGV[6] == '1', ARGV[7] == '1'
local ends_at = PREFIXES_AT + (brings_histories and #KEYS or 0)
-- Of one document: a few steps' worth. Of one call (the last one may go beyond): about 1 ms of server time.
local HISTORY_EVENTS_MAX, HISTORY_BYTES_MAX = 16, 16384
local events_left, bytes_left = 400, 262144
local ID_BYTES, ID_FORM = 18, string.rep('%02x', 17) -- a packed id: kind, then what is written in hex

-- One command for all inboxes instead of one for each of those in which nothing has arrived.
local function arrived()
  local command = {'XREAD', 'COUNT', 1, 'STREAMS'}
  for _, key in ipairs(KEYS) do command[#command + 1] = key end
  for i = 1, #KEYS do command[#command + 1] = ARGV[ends_at + i] end
  local names = {}
  for _, stream in ipairs(redis.call(unpack(command)) or {}) do names[stream[1]] = true end
  return names
end

local has_arrived = is_behind and arrived()

-- The group begins at 0, never at '$': what was appended before the first reader came is work too.
local function read(key, start)
  if has_arrived and not has_arrived[key] then return {} end
  local reply = redis.pcall('XREADGROUP', 'GROUP', group, consumer, 'COUNT', rest, 'STREAMS', key, start)
  if reply and reply.err then
    if string.sub(reply.err, 1, 7) ~= 'NOGROUP' then return reply end
    if not names_last and redis.call('EXISTS', key) == 0 then return {} end
    redis.call('XGROUP', 'CREATE', key, group, '0', 'MKSTREAM')
    return read(key, start)
  end
  return reply and reply[1][2] or {}
end

-- Errors are caught: what is wrong with a document is told by whoever reads its history, and holds nobody else up.
local epochs = {}
local function epoch_of(prefix)
  if not epochs[prefix] then
    local epoch = redis.pcall('HGET', prefix .. 'meta', 'epoch')
    epochs[prefix] = type(epoch) == 'string' and epoch or ''
  end
  return epochs[prefix]
end

local function history_of(prefix, pointer)
  if events_left <= 0 or bytes_left <= 0 or string.sub(pointer, 1, 1) ~= 'd' or #pointer < ID_BYTES then return {} end
  local id = 'doc_' .. string.format(ID_FORM, string.byte(pointer, 2, ID_BYTES))
  local places = redis.pcall('LRANGE', prefix .. 'history:' .. id, 0, HISTORY_EVENTS_MAX)
  if places.err or #places > HISTORY_EVENTS_MAX then return {} end
  local history, bytes = {epoch_of(prefix)}, 0
  for _, place in ipairs(places) do
    local entry = redis.pcall('XRANGE', prefix .. 'log', place, place)[1]
    local fields = entry and entry[2]
    if not fields or #fields ~= 4 then return {} end
    bytes = bytes + #fields[2]
    events_left, bytes_left = events_left - 1, bytes_left - #fields[2] -- what is read counts, brought along or not
    if bytes > HISTORY_BYTES_MAX then return {} end
    history[#history + 1], history[#history + 2], history[#history + 3] = place, fields[2], fields[4]
  end
  return history
end

local found, histories = {}, {}
for i, key in ipairs(KEYS) do
  local start, prefix = is_behind and ARGV[ends_at + i] or from, brings_histories and ARGV[PREFIXES_AT + i]
  repeat
    if rest == 0 then return {found, {}, histories} end
    local asked = rest
    local entries = read(key, start)
    if entries.err then return entries end
    for _, entry in ipairs(entries) do
      local pointer = entry[2] and entry[2][2]
      if pointer then
        found[#found + 1], found[#found + 2], found[#found + 3] = i, entry[1], pointer
        if prefix then histories[#histories + 1] = history_of(prefix, pointer) end
        rest = rest - 1
      else
        redis.call('XACK', key, group, entry[1]) -- deleted while it was pending: there is nothing left to do
      end
      start = entry[1]
    end
  until from == '>' or #entries < asked
end

local last = {}
if names_last and (#found == 0 or is_behind) then
  for i, key in ipairs(KEYS) do
    if not is_behind or has_arrived[key] then
      local entry = redis.call('XREVRANGE', key, '+', '-', 'COUNT', 1)[1]
      last[#last + 1], last[#last + 2] = i, entry and entry[1] or '0-0'
    end
  end
end
return {found, last, histories}
