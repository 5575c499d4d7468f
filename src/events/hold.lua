#!lua
-- Takes, renews or gives up a right that one process has at a time.
-- KEYS  name of the holder (string)      ARGV  holder, lease_ms (0: give it up)
-- Answers 1 if the right is the holder's now (or was given up), else 0.
local found = redis.call('GET', KEYS[1])
if found and found ~= ARGV[1] then return 0 end
if ARGV[2] == '0' then
  redis.call('DEL', KEYS[1])
else
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
end
return 1
