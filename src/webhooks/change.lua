#!lua
-- Replaces one delivery, compared by its revision; it moves between the lists of its channel.
-- KEYS  state, deliveries, channels (see put.lua), the channel's due, its list before, its list after
-- ARGV  token ('': no matter), id, revision, value, member, channel, delay in ms until it is due ('': never)
-- Answers 1 (also when this very call took effect before), 0 where it is another by now, gone, or the token is.
local call = redis.call
local STATE, DELIVERIES, CHANNELS, DUE = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
if ARGV[1] ~= '' and call('HGET', STATE, 'token') ~= ARGV[1] then return 0 end
local found = call('HGET', DELIVERIES, ARGV[2])
if not found then return 0 end
if found == ARGV[4] then return 1 end
if string.match(found, '^%d+') ~= ARGV[3] then return 0 end
call('HSET', DELIVERIES, ARGV[2], ARGV[4])
call('ZREM', KEYS[5], ARGV[5])
call('ZADD', KEYS[6], 0, ARGV[5])
if ARGV[7] == '' then
  call('ZREM', DUE, ARGV[2])
else
  local time = call('TIME')
  local now_ms = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
  call('ZADD', DUE, now_ms + tonumber(ARGV[7]), ARGV[2])
end
local first = call('ZRANGE', DUE, 0, 0, 'WITHSCORES')
call('ZADD', CHANNELS, first[2] or '+inf', ARGV[6])
return 1
