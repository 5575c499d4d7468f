#!lua
-- Notes that tasks with callbacks come in.
-- KEYS  state (hash: version, callbacks)
-- The version as in keep.lua.
local call = redis.call
local time = call('TIME')
local before, now_us = tonumber(call('HGET', KEYS[1], 'version') or 0), time[1] * 1000000 + time[2]
call('HSET', KEYS[1], 'callbacks', '1', 'version', string.format('%.0f', math.max(before + 1, now_us)))
return 1
