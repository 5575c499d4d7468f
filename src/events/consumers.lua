#!lua flags=allow-oom
-- Heartbeats by the server's clock. A heartbeat must not stop when memory is full: its worker would be taken for dead.
-- KEYS  consumers (zset): name by unix ms of its last heartbeat; below 0: it left at that time
-- ARGV  beat name | leave name | judge silent_ms_min forget_ms
-- `judge` answers {dead names, living names} and forgets whoever was last heard of before `forget_ms`.
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
if ARGV[1] == 'beat' then return redis.call('ZADD', KEYS[1], now_ms, ARGV[2]) end
if ARGV[1] == 'leave' then return redis.call('ZADD', KEYS[1], -now_ms, ARGV[2]) end
local dead, living = {}, {}
local scores = redis.call('ZRANGE', KEYS[1], 0, -1, 'WITHSCORES')
for i = 1, #scores, 2 do
  local name, beat_ms = scores[i], tonumber(scores[i + 1])
  local has_left = beat_ms < 0
  local silent_ms = now_ms - math.abs(beat_ms)
  if has_left or silent_ms > tonumber(ARGV[2]) then dead[#dead + 1] = name else living[#living + 1] = name end
  if silent_ms > tonumber(ARGV[3]) then redis.call('ZREM', KEYS[1], name) end
end
return {dead, living}
