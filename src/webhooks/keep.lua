#!lua
-- Keeps, replaces or deletes one subscription, compared with what the caller saw.
-- KEYS  subscriptions (hash: packed subscription with secrets by id), state (hash: version, callbacks)
-- ARGV  id, before ('' : none), after ('': delete), count_max (0: no matter)
-- Answers 1 done (also when it was done before), 0 it is another by now, -1 there are count_max already.
local call = redis.call
local found = call('HGET', KEYS[1], ARGV[1]) or ''
if found == ARGV[3] then return 1 end
if found ~= ARGV[2] then return 0 end
if found == '' and tonumber(ARGV[4]) > 0 and call('HLEN', KEYS[1]) >= tonumber(ARGV[4]) then return -1 end
if ARGV[3] == '' then
  call('HDEL', KEYS[1], ARGV[1])
else
  call('HSET', KEYS[1], ARGV[1], ARGV[3])
end
-- The time (µs), or one more than before: where a replica without the last changes took over, a version that was counted
-- would be given to two of them, and whoever knew the lost one would never ask for the other.
local time = call('TIME')
local before, now_us = tonumber(call('HGET', KEYS[2], 'version') or 0), time[1] * 1000000 + time[2]
call('HSET', KEYS[2], 'version', string.format('%.0f', math.max(before + 1, now_us)))
return 1
