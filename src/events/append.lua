#!lua
-- Appends to one partition, one after the other: each puts its events at the ends of one or several streams, together or
-- not at all, with everything that follows. What is told of below holds for each by itself: one that conflicts, or that a
-- key of a wrong type refuses, is answered in its place, and the others take effect. A later one sees what an earlier wrote.
--
-- Scripts do not roll back: whatever could refuse an append (a key of a wrong type, a version, a limit) is read first, and
-- its first write, into the log, comes after its last other check. Without `allow-oom` the server refuses the whole call
-- when memory is full; while it runs it refuses nothing for want of memory.
--
-- KEYS  log      stream  e: envelope (bytes 4 to 19 are the event's id), n: dense number
--       meta     hash    epoch, number, last: of the last event
--       due      zset    timer by unix ms
--       dead     zset    stream id by unix ms
--       then of each append
--         for each write    stream  hash  v: version, e: last event's id, a: last entry id that left the log
--                           history list  entry ids, shortened from the front by the archiver
--                           quiet   hash  'version entry-id' by packed stream id, where the log has none of its events
--         then the tallies  hash  o open, s succeeded, f failed, c cancelled, k skipped
--         then the inboxes  stream  p: packed pointer
--         then the knowledge bases' digests  hash  packed document ids, the holder first, by digest
--         then the inbox of the acknowledged delivery, if there is one
-- ARGV  group, events_per_stream_max, then of each append its numbers, packed (an argument each costs the server more than
--       all that is done with it), and behind them in this order
--         for each write        packed stream id, each event
--         for each digest       digest, if its holder matters: that one or '', then for each move a packed document id
--         for each consequence  i: pointer | t: due_ms, timer | d: failed_ms, stream | r: stream
--         if a delivery is acknowledged: its entry
--       Numbers, big-endian: `HEAD`, then for each write `WRITE` (0 events: it is only compared), for each tally `TALLY`, for
--       each digest `DIGEST` and a byte a move (< first | > last | x leaves), for each consequence a byte, and behind i
--       `ENTER`, whose tally is 0 where it waits for no task's end
-- Answers for each append {1, epoch, is repeat, entry ids...} | {2, write, actual version} | {3, write}: too many events in
-- the stream | {4, digest, its holder or '', ...}: held by others | the error that refused it
local call, unpack_numbers = redis.call, struct.unpack
local LOG, META, DUE, DEAD = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local group, events_max = ARGV[1], tonumber(ARGV[2])
local SHARED_KEYS, SHARED_ARGUMENTS = 4, 2
local HEAD = '>I4I4I2I2BBI2I2I2B' -- keys, arguments behind this one, writes, tallies, inboxes, 1 if due or dead are used,
-- knowledge bases with digests, digests, consequences, 1 if a delivery is acknowledged
local SIZE = '>I4I4' -- what it begins with
local WRITE = '>I8I2' -- expected version, events
local TALLY = '>i4i4i4i4i4B' -- five changes, 1 if the task has finished
local DIGEST = '>I2BI2' -- knowledge base, 1 if its holder matters, moves
local ENTER = '>BI2' -- inbox, tally
local FIRST, LAST, ENTERS, IS_DUE, IS_DEAD = string.byte('<>itd', 1, 5)
local RPUSH_MAX = 1000 -- Lua's stack holds 8,000 values
local TALLY_FIELDS = 5
local ID_BYTES, CLAIMS_MAX = 18, 100

local meta = call('HMGET', META, 'epoch', 'number')
local epoch, number = tonumber(meta[1] or 1), tonumber(meta[2] or 0)
local last, is_any_repeat -- of this call

-- Raises for a key that is none, once a call: no write of ours makes it another kind.
local looked_at = {}
local function check(command, key)
  if looked_at[key] then return end
  call(command, key)
  looked_at[key] = true
end

-- A repeated append: every write's last event is where it would have come to lie.
local function is_in_the_log(write)
  if write.count == 0 then return true end -- compared, never written: what became of it since does not unsay the rest
  local last_version = write.expected + write.count
  if write.version < last_version then return false end
  local trimmed = write.version - write.kept
  if write.expected < trimmed then return false end -- the archive has its positions: a conflict tells the writer to look
  if write.version == last_version then return write.last_id == write.event_id end
  local id = call('LINDEX', write.history, last_version - 1 - trimmed)
  local entries = call('XRANGE', LOG, id, id)
  return entries[1] ~= nil and string.sub(entries[1][2][2], 4, 19) == write.event_id
end

local function acknowledge(key, entry)
  if entry and call('XACK', key, group, entry) == 1 then call('XDEL', key, entry) end
end

local function place_of(claims, document)
  for at = 1, #claims, ID_BYTES do
    if string.sub(claims, at, at + ID_BYTES - 1) == document then return at end
  end
end

-- `at` is the place of its numbers in ARGV, `key` that of the key before its first; then what `HEAD` names, and `n`, where
-- the other numbers begin.
local function append(at, key, keys, arguments, write_count, tally_count, inbox_count, uses_times, digest_hash_count,
    digest_count, consequence_count, acknowledges, n)
  local numbers = ARGV[at]
  local first_tally_key = key + 3 * write_count
  local first_inbox_key = first_tally_key + tally_count
  local first_digest_key = first_inbox_key + inbox_count
  local acknowledged_key, acknowledged = KEYS[key + keys], acknowledges == 1 and ARGV[at + arguments]

  -- Reads and checks.
  local writes = {}
  for w = 1, write_count do
    local stream, history, quiet = KEYS[key + 1], KEYS[key + 2], KEYS[key + 3]
    key = key + 3
    local found = call('HMGET', stream, 'v', 'e')
    local version, last_gone = found[1], nil
    local id, expected, count = ARGV[at + 1], nil, nil
    if not version then
      local gone = call('HGET', quiet, id)
      if gone then version, last_gone = string.match(gone, '^(%d+) (.+)$') end
    end
    expected, count, n = unpack_numbers(WRITE, numbers, n)
    writes[w] = {
      stream = stream, history = history, quiet = quiet, id = id, kept = call('LLEN', history),
      version = tonumber(version or 0), last_id = found[2], last_gone = last_gone,
      expected = expected, count = count, first = at + 2,
      event_id = count > 0 and string.sub(ARGV[at + 1 + count], 4, 19),
    }
    at = at + 1 + count
  end
  if uses_times == 1 then
    check('ZCARD', DUE)
    check('ZCARD', DEAD)
  end
  for i = 1, inbox_count do check('XLEN', KEYS[first_inbox_key + i]) end
  local tallies = {}
  for t = 1, tally_count do
    local found = call('HMGET', KEYS[first_tally_key + t], 'o', 's', 'f', 'c', 'k')
    local changes = {unpack_numbers(TALLY, numbers, n)}
    n = changes[TALLY_FIELDS + 2]
    local tally = {exists = found[1] and true or false, finished = changes[TALLY_FIELDS + 1] == 1, lacks = false}
    for f = 1, TALLY_FIELDS do
      if changes[f] < 0 then tally.lacks = true end
      tally[f] = tonumber(found[f] or 0) + changes[f]
    end
    tallies[t] = tally
  end
  local digests = {}
  for d = 1, digest_count do
    local knowledge_base, is_expected, moves
    knowledge_base, is_expected, moves, n = unpack_numbers(DIGEST, numbers, n)
    local name = ARGV[at + 1]
    local digest_key = KEYS[first_digest_key + knowledge_base]
    digests[d] = {
      key = digest_key, name = name, claims = call('HGET', digest_key, name) or '',
      expected = is_expected == 1 and ARGV[at + 2], first_move = n, moves = moves, before = at + 1 + is_expected,
    }
    at, n = at + 1 + is_expected + moves, n + moves
  end
  if acknowledged then check('XLEN', acknowledged_key) end

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
    is_any_repeat = true
    for w = 1, write_count do
      local write = writes[w]
      local from = write.expected - (write.version - write.kept)
      if write.count > 0 then -- a range of none would be written as one that ends at the last element
        for _, id in ipairs(call('LRANGE', write.history, from, from + write.count - 1)) do answer[#answer + 1] = id end
      end
    end
    acknowledge(acknowledged_key, acknowledged)
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
    if digest.expected and digest.expected ~= holder then
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
      last = call('XADD', LOG, '*', 'e', ARGV[e], 'n', number + 1)
      number = number + 1
      answer[#answer + 1] = last
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

  for t = 1, tally_count do
    local tally, key = tallies[t], KEYS[first_tally_key + t]
    tally.changed = tally.exists or not tally.lacks -- taking from nothing: the task has finished, its tally is gone
    if tally.finished then
      call('DEL', key)
    elseif tally.changed then
      call('HSET', key, 'o', tally[1], 's', tally[2], 'f', tally[3], 'c', tally[4], 'k', tally[5])
    end
  end

  for d = 1, digest_count do
    local digest = digests[d]
    local claims = digest.claims
    for m = 1, digest.moves do
      local move, document = string.byte(numbers, digest.first_move + m - 1), ARGV[digest.before + m]
      local found_at = place_of(claims, document)
      if found_at and move ~= LAST then
        claims = string.sub(claims, 1, found_at - 1) .. string.sub(claims, found_at + ID_BYTES)
      end
      if move == FIRST then
        claims = string.sub(document .. claims, 1, CLAIMS_MAX * ID_BYTES)
      elseif move == LAST and not found_at and #claims < CLAIMS_MAX * ID_BYTES then
        claims = claims .. document
      end
    end
    if claims == '' then
      call('HDEL', digest.key, digest.name)
    elseif claims ~= digest.claims then
      call('HSET', digest.key, digest.name, claims)
    end
  end

  for _ = 1, consequence_count do
    local kind = string.byte(numbers, n)
    n = n + 1
    if kind == ENTERS then
      local inbox, t
      inbox, t, n = unpack_numbers(ENTER, numbers, n)
      local tally = tallies[t]
      if tally == nil or (tally.changed and tally[1] == 0) then
        call('XADD', KEYS[first_inbox_key + inbox], '*', 'p', ARGV[at + 1])
      end
      at = at + 1
    elseif kind == IS_DUE then
      call('ZADD', DUE, ARGV[at + 1], ARGV[at + 2])
      at = at + 2
    elseif kind == IS_DEAD then
      call('ZADD', DEAD, ARGV[at + 1], ARGV[at + 2])
      at = at + 2
    else
      call('ZREM', DEAD, ARGV[at + 1])
      at = at + 1
    end
  end

  acknowledge(acknowledged_key, acknowledged)
  return answer
end

local answers, at, key = {}, SHARED_ARGUMENTS + 1, SHARED_KEYS
while at <= #ARGV do
  local numbers = ARGV[at]
  local is_answered, answer = pcall(append, at, key, unpack_numbers(HEAD, numbers))
  if not is_answered and type(answer) ~= 'table' then answer = {err = 'ERR ' .. tostring(answer)} end
  answers[#answers + 1] = answer
  local keys, arguments = unpack_numbers(SIZE, numbers)
  at, key = at + 1 + arguments, key + keys
end
if last then
  call('HSET', META, 'epoch', epoch, 'number', number, 'last', last)
elseif is_any_repeat and number > 0 then
  -- WAIT waits for what its own connection wrote last: without this, a repetition would pass for confirmed.
  call('HSET', META, 'number', number)
end
return answers
