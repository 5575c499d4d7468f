#!lua flags=allow-oom
-- Takes entries out of an inbox that are in somebody's hands; others, acknowledged before or never taken, stay as they are.
-- KEYS  inbox (stream)      ARGV  group, entry ids
-- Answers how many were in somebody's hands.
local held = {}
for i = 2, #ARGV do
  if redis.call('XACK', KEYS[1], ARGV[1], ARGV[i]) == 1 then held[#held + 1] = ARGV[i] end
end
if #held > 0 then redis.call('XDEL', KEYS[1], unpack(held)) end
return #held
