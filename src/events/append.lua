#!lua
-- Appends the events of one or several streams of one partition, together or not at all, with everything that follows.
--
-- Scripts do not roll back: whatever could refuse (a key of a wrong type, a version, a limit) is read first, and the
-- first write, into the log, comes after the last other check. Without `allow-oom` the server refuses the whole call when memory is full.
--
-- KEYS  log      stream  e: envelope (bytes 4 to 19 are the event's id), n: dense number
--       meta     hash    epoch, number, last: of the last event
--       due      zset    timer by unix ms
--       dead     zset    stream id by unix ms
--       then for each write    stream  hash  v: version, e: last event's id, a: last entry id that left the log
--                              history list  entry ids, shortened from the front by the archiver
--                              quiet   hash  'version entry-id' by packed stream id, where the log has none of its events
--       then the tallies       hash  o open, s succeeded, f failed, c cancelled, k skipped
--       then the inboxes       stream  p: packed pointer
--       then the knowledge bases' digests  hash  packed document ids, the holder first, by digest
--       then the inbox of the acknowledged delivery, if there is one
-- ARGV  group, events_per_stream_max, entry to acknowledge or '', writes, tallies, inboxes, 1 if due or dead are used, knowledge
--       bases with digests, digests, then
--       for each write:  packed stream id, expected version, events (0: only compared), each event
--       for each tally:  five changes, 1 if the task has finished
--       for each digest: knowledge base, digest, holder ('' nobody, '-' whoever), moves, each: < first | > last | x leaves,
--       packed document id
--       for each consequence:  i inbox pointer tally-or-0 | t due_ms timer | d failed_ms stream | r stream
-- Answers {1, epoch, is repeat, entry ids...} | {2, write, actual version} | {3, write}: too many events in the stream
-- | {4, digest, its holder or '', ...}: held by others
local call = redis.call
local LOG, META, DUE, DEAD = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local group, events_max, acknowledged = ARGV[1], tonumber(ARGV[2]), ARGV[3]
local write_count, tally_count, inbox_count = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local RPUSH_MAX = 1000 -- Lua's stack holds 8,000 values
local TALLY_FIELDS = 5
local ID_BYTES, CLAIMS_MAX = 18, 100
local digest_hash_count, digest_count = tonumber(ARGV[8]), tonumber(ARGV[9])

-- Reads and checks.
local first_tally_key = 4 + 3 * write_count
local first_inbox_key = first_tally_key + tally_count
local place = 10
local writes = {}
for w = 1, write_count do
  local stream, history, quiet = KEYS[2 + 3 * w], KEYS[3 + 3 * w], KEYS[4 + 3 * w]
  local found = call('HMGET', stream, 'v', 'e')
  local version, last_gone = found[1], nil
  if not version then
    local gone = call('HGET', quiet, ARGV[place])
    if gone then version, last_gone = string.match(gone, '^(%d+) (.+)$') end
  end
  local count = tonumber(ARGV[place + 2])
  writes[w] = {
    stream = stream, history = history, quiet = quiet, id = ARGV[place], kept = call('LLEN', history),
    version = tonumber(version or 0), last_id = found[2], last_gone = last_gone,
    expected = tonumber(ARGV[place + 1]), count = count, first = place + 3,
    event_id = string.sub(ARGV[place + 2 + count], 4, 19),
  }
  place = place + 3 + count
end
local meta = call('HMGET', META, 'epoch', 'number')
local epoch, number = tonumber(meta[1] or 1), tonumber(meta[2] or 0)
if ARGV[7] == '1' then
  call('ZCARD', DUE)
  call('ZCARD', DEAD)
end
for i = 1, inbox_count do call('XLEN', KEYS[first_inbox_key + i]) end
local tallies = {}
for t = 1, tally_count do
  local found = call('HMGET', KEYS[first_tally_key + t], 'o', 's', 'f', 'c', 'k')
  local tally = {exists = found[1] and true or false, finished = ARGV[place + TALLY_FIELDS] == '1', lacks = false}
  for f = 1, TALLY_FIELDS do
    local change = tonumber(ARGV[place + f - 1])
    if change < 0 then tally.lacks = true end
    tally[f] = tonumber(found[f] or 0) + change
  end
  tallies[t] = tally
  place = place + TALLY_FIELDS + 1
end
local first_digest_key = first_inbox_key + inbox_count
local digests = {}
for d = 1, digest_count do
  local key, name = KEYS[first_digest_key + tonumber(ARGV[place])], ARGV[place + 1]
  local moves = tonumber(ARGV[place + 3])
  digests[d] = {
    key = key, name = name, claims = call('HGET', key, name) or '', expected = ARGV[place + 2],
    first = place + 4, last = place + 3 + 2 * moves,
  }
  place = place + 4 + 2 * moves
end
local acknowledged_key = KEYS[first_digest_key + digest_hash_count + 1]
if acknowledged ~= '' then call('XLEN', acknowledged_key) end

local function acknowledge()
  if acknowledged == '' or call('EXISTS', acknowledged_key) == 0 then return end
  if call('XACK', acknowledged_key, group, acknowledged) == 1 then call('XDEL', acknowledged_key, acknowledged) end
end

-- A repeated call: every write's last event is where it would have come to lie.
local function is_in_the_log(write)
  if write.count == 0 then return true end -- compared, never written: what became of it since does not unsay the rest
  local last = write.expected + write.count
  if write.version < last then return false end
  local trimmed = write.version - write.kept
  if write.expected < trimmed then return false end -- the archive has its positions: a conflict tells the writer to look
  if write.version == last then return write.last_id == write.event_id end
  local id = call('LINDEX', write.history, last - 1 - trimmed)
  local entries = call('XRANGE', LOG, id, id)
  return entries[1] ~= nil and string.sub(entries[1][2][2], 4, 19) == write.event_id
end

local is_repeat = true
for w = 1, write_count do
  if not is_in_the_log(writes[w]) then
    is_repeat = false
    break
  end
end
local answer = {1, epoch, 0}
if is_repeat then
  answer[3] = 1
  -- WAIT waits for what its own connection wrote last: without this, a repetition would pass for confirmed.
  if number > 0 then call('HSET', META, 'number', string.format('%d', number)) end
  for w = 1, write_count do
    local write = writes[w]
    local from = write.expected - (write.version - write.kept)
    if write.count > 0 then -- a range of none would be written as one that ends at the last element
      for _, id in ipairs(call('LRANGE', write.history, from, from + write.count - 1)) do answer[#answer + 1] = id end
    end
  end
  acknowledge()
  return answer
end

for w = 1, write_count do
  if writes[w].version ~= writes[w].expected then return {2, w, writes[w].version} end
end
for w = 1, write_count do
  if writes[w].expected + writes[w].count > events_max then return {3, w} end
end
local taken = {4}
for d = 1, digest_count do
  local digest = digests[d]
  local holder = string.sub(digest.claims, 1, ID_BYTES)
  if digest.expected ~= '-' and digest.expected ~= holder then
    taken[#taken + 1] = d
    taken[#taken + 1] = holder
  end
end
if #taken > 1 then return taken end

-- Writes.
for w = 1, write_count do
  local write = writes[w]
  local first_answer = #answer + 1
  for e = write.first, write.first + write.count - 1 do
    number = number + 1
    answer[#answer + 1] = call('XADD', LOG, '*', 'e', ARGV[e], 'n', string.format('%d', number))
  end
  for from = first_answer, #answer, RPUSH_MAX do
    call('RPUSH', write.history, unpack(answer, from, math.min(from + RPUSH_MAX - 1, #answer)))
  end
  if write.count > 0 then
    call('HSET', write.stream, 'v', write.expected + write.count, 'e', write.event_id)
    if write.last_gone then
      call('HSET', write.stream, 'a', write.last_gone)
      call('HDEL', write.quiet, write.id)
    end
  end
end
call('HSET', META, 'epoch', epoch, 'number', string.format('%d', number), 'last', answer[#answer])

for t = 1, tally_count do
  local tally, key = tallies[t], KEYS[first_tally_key + t]
  tally.changed = tally.exists or not tally.lacks -- taking from nothing: the task has finished, its tally is gone
  if tally.finished then
    call('DEL', key)
  elseif tally.changed then
    call('HSET', key, 'o', tally[1], 's', tally[2], 'f', tally[3], 'c', tally[4], 'k', tally[5])
  end
end

local function place_of(claims, document)
  for at = 1, #claims, ID_BYTES do
    if string.sub(claims, at, at + ID_BYTES - 1) == document then return at end
  end
end

for d = 1, digest_count do
  local digest = digests[d]
  local claims = digest.claims
  for m = digest.first, digest.last, 2 do
    local move, document = ARGV[m], ARGV[m + 1]
    local at = place_of(claims, document)
    if at and move ~= '>' then claims = string.sub(claims, 1, at - 1) .. string.sub(claims, at + ID_BYTES) end
    if move == '<' then
      claims = string.sub(document .. claims, 1, CLAIMS_MAX * ID_BYTES)
    elseif move == '>' and not at and #claims < CLAIMS_MAX * ID_BYTES then
      claims = claims .. document
    end
  end
  if claims == '' then
    call('HDEL', digest.key, digest.name)
  elseif claims ~= digest.claims then
    call('HSET', digest.key, digest.name, claims)
  end
end

while place <= #ARGV do
  local kind = ARGV[place]
  if kind == 'i' then
    local tally = tallies[tonumber(ARGV[place + 3])]
    if tally == nil or (tally.changed and tally[1] == 0) then
      call('XADD', KEYS[first_inbox_key + tonumber(ARGV[place + 1])], '*', 'p', ARGV[place + 2])
    end
    place = place + 4
  elseif kind == 't' then
    call('ZADD', DUE, ARGV[place + 1], ARGV[place + 2])
    place = place + 3
  elseif kind == 'd' then
    call('ZADD', DEAD, ARGV[place + 1], ARGV[place + 2])
    place = place + 3
  else
    call('ZREM', DEAD, ARGV[place + 1])
    place = place + 2
  end
end

acknowledge()
return answer
