#!lua flags=allow-oom
-- Walks inboxes in the order given and hands out at most `count` entries altogether (XREADGROUP's COUNT is per stream).
-- Reading takes no memory that matters, so it goes on when memory is full: work that ends is what frees it.
-- KEYS  inboxes (streams)
-- ARGV  group, consumer, count, '>' (new ones) or '0' (those already in this consumer's hands), 1 to name the last entries
-- Answers {{inbox, entry id, pointer, ...}, {last entry id of each inbox} if nothing was found and they are asked for}
local group, consumer, rest, from = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4]

-- The group begins at 0, never at '$': what was appended before the first reader came is work too.
local function read(key, start)
  local reply = redis.pcall('XREADGROUP', 'GROUP', group, consumer, 'COUNT', rest, 'STREAMS', key, start)
  if reply and reply.err then
    if string.sub(reply.err, 1, 7) ~= 'NOGROUP' then return reply end
    if redis.call('EXISTS', key) == 0 then return {} end
    redis.call('XGROUP', 'CREATE', key, group, '0')
    return read(key, start)
  end
  return reply and reply[1][2] or {}
end

local found = {}
for i, key in ipairs(KEYS) do
  local start = from
  repeat
    if rest == 0 then return {found, {}} end
    local entries = read(key, start)
    if entries.err then return entries end
    for _, entry in ipairs(entries) do
      local pointer = entry[2] and entry[2][2]
      if pointer then
        found[#found + 1], found[#found + 2], found[#found + 3] = i, entry[1], pointer
        rest = rest - 1
      else
        redis.call('XACK', key, group, entry[1]) -- deleted while it was pending: there is nothing left to do
      end
      start = entry[1]
    end
  until from == '>' or #entries == 0
end

local last = {}
if #found == 0 and ARGV[5] == '1' then
  for i, key in ipairs(KEYS) do
    local entry = redis.call('XREVRANGE', key, '+', '-', 'COUNT', 1)[1]
    last[i] = entry and entry[1] or '0-0'
  end
end
return {found, last}
