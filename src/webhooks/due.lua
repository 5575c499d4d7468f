#!lua
-- What is due now by the server's clock, the longest overdue first.
-- KEYS  a zset of names by time (server ms)      ARGV  limit
local time = redis.call('TIME')
local now_ms = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
return redis.call('ZRANGE', KEYS[1], '-inf', string.format('%d', now_ms), 'BYSCORE', 'LIMIT', 0, ARGV[1])
