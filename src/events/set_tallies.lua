#!lua
-- Sets tallies that were counted up to an event, if it still is the last: every append may change a tally.
-- KEYS  meta (hash; number: of the last event), then the tallies (hash: o, s, f, c, k, as in append.lua)
-- ARGV  number, then five counts for each
-- Answers 1 | 0
local call = redis.call
if (call('HGET', KEYS[1], 'number') or '0') ~= ARGV[1] then return 0 end
for i = 2, #KEYS do
  local place = 2 + 5 * (i - 2)
  call('HSET', KEYS[i], 'o', ARGV[place], 's', ARGV[place + 1], 'f', ARGV[place + 2], 'c', ARGV[place + 3],
    'k', ARGV[place + 4])
end
return 1
