#!lua
-- Deletes deliveries of one channel that are still as they were seen.
-- KEYS  deliveries, channels (see put.lua), the channel's due, pending, delivered, failed
-- ARGV  channel, then of each delivery: id, revision, member
-- Answers how many were deleted.
local call = redis.call
local DELIVERIES, CHANNELS, DUE = KEYS[1], KEYS[2], KEYS[3]
local gone = 0
for place = 2, #ARGV, 3 do
  local found = call('HGET', DELIVERIES, ARGV[place])
  if found and string.match(found, '^%d+') == ARGV[place + 1] then
    call('HDEL', DELIVERIES, ARGV[place])
    call('ZREM', DUE, ARGV[place])
    for list = 4, 6 do call('ZREM', KEYS[list], ARGV[place + 2]) end
    gone = gone + 1
  end
end
if call('EXISTS', KEYS[4], KEYS[5], KEYS[6]) == 0 then
  call('ZREM', CHANNELS, ARGV[1])
else
  local first = call('ZRANGE', DUE, 0, 0, 'WITHSCORES')
  call('ZADD', CHANNELS, first[2] or '+inf', ARGV[1])
end
return gone
