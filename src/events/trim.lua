#!lua flags=allow-oom
-- Takes the oldest entries out of the log, and out of the histories of their streams, in one step. Trimming is what
-- makes room, so it goes on when memory is full; a stream that falls quiet takes less room than it gives back.
-- KEYS  log (stream), meta (hash), then for each stream of these entries: stream (hash), history (list), quiet (hash)
-- ARGV  first entry, last entry, the place behind it, dense number of the last, what the keys of checkpoints begin with,
--       then for each stream: packed id, how many of the entries are its own, the last of them
-- Answers 1 | 0: the log begins elsewhere by now | -1: not archived | -2: not in the live views
--   | -3 - n: the history of stream n (from 0) does not begin with these entries
local call = redis.call
local LOG, META = KEYS[1], KEYS[2]
local meta = call('HMGET', META, 'archived', 'generation')
local number = tonumber(ARGV[4])
if tonumber(meta[1] or 0) < number then return -1 end
if tonumber(call('HGET', ARGV[5] .. (meta[2] or '1'), 'number') or 0) < number then return -2 end
local oldest = call('XRANGE', LOG, '-', '+', 'COUNT', 1)[1]
if not oldest or oldest[1] ~= ARGV[1] then return 0 end

local streams = (#KEYS - 2) / 3
for s = 0, streams - 1 do
  local place = 6 + 3 * s
  if call('LINDEX', KEYS[4 + 3 * s], tonumber(ARGV[place + 1]) - 1) ~= ARGV[place + 2] then return -3 - s end
  if call('EXISTS', KEYS[3 + 3 * s]) == 0 then return -3 - s end
end

for s = 0, streams - 1 do
  local place, stream, history, quiet = 6 + 3 * s, KEYS[3 + 3 * s], KEYS[4 + 3 * s], KEYS[5 + 3 * s]
  call('LPOP', history, ARGV[place + 1])
  if call('EXISTS', history) == 1 then
    call('HSET', stream, 'a', ARGV[place + 2])
  else
    call('HSET', quiet, ARGV[place], call('HGET', stream, 'v') .. ' ' .. ARGV[place + 2])
    call('DEL', stream)
  end
end
call('XTRIM', LOG, 'MINID', '=', ARGV[3])
call('HSET', META, 'trimmed', ARGV[4], 'trimmed_at', ARGV[2])
return 1
