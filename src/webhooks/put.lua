#!lua
-- Moves a dispatcher's checkpoint, and keeps the deliveries that follow from what it read.
-- KEYS  state       hash: token, position, caught_up
--       deliveries  hash: `revision:packed delivery` by id
--       channels    zset: channel by the earliest time (server ms) that something is due on it, +inf: nothing is
--       then of each channel: due (zset: delivery by time, server ms), pending and failed (zsets, all scores 0)
-- ARGV  token ('': no matter), position expected, position, caught_up, channels, each channel's name,
--       then of each delivery: number of its channel (from 0), id, value, member, 1 where it is pending, else 0
-- Answers 1 (also when this very call took effect before), 0 where token or position are others by now.
local call = redis.call
local STATE, DELIVERIES, CHANNELS = KEYS[1], KEYS[2], KEYS[3]
if ARGV[1] ~= '' then
  local found = call('HMGET', STATE, 'token', 'position')
  if found[1] ~= ARGV[1] then return 0 end
  local position = found[2] or ''
  if position ~= ARGV[2] then return position == ARGV[3] and 1 or 0 end
end
local time = call('TIME')
local now_ms = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local channels = tonumber(ARGV[5])
local touched = {}
for place = 6 + channels, #ARGV, 5 do
  local number = tonumber(ARGV[place])
  local due, pending, failed = KEYS[4 + 3 * number], KEYS[5 + 3 * number], KEYS[6 + 3 * number]
  if call('HSETNX', DELIVERIES, ARGV[place + 1], ARGV[place + 2]) == 1 then
    touched[number] = due
    if ARGV[place + 4] == '1' then
      call('ZADD', due, now_ms, ARGV[place + 1])
      call('ZADD', pending, 0, ARGV[place + 3])
    else
      call('ZADD', failed, 0, ARGV[place + 3])
    end
  end
end
for number, due in pairs(touched) do
  local first = call('ZRANGE', due, 0, 0, 'WITHSCORES')
  call('ZADD', CHANNELS, first[2] or '+inf', ARGV[6 + number])
end
if ARGV[1] ~= '' then call('HSET', STATE, 'position', ARGV[3], 'caught_up', ARGV[4]) end
return 1
