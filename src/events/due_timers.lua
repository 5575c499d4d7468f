#!lua flags=no-writes
-- Where timers lie whose time has come, by the server's clock: nearly always nowhere, and every worker asks four times a
-- second.
-- KEYS  due of each partition (zset: timer by unix ms)
-- Answers the places of those (from 1).
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
local due = {}
for i, key in ipairs(KEYS) do
  if redis.call('ZRANGEBYSCORE', key, '-inf', now_ms, 'LIMIT', 0, 1)[1] then due[#due + 1] = i end
end
return due
