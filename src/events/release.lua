#!lua flags=allow-oom
-- Gives an entry back: it comes to lie with the released, whom everybody may claim from at once. Asking and claiming in
-- one call: a former owner, taken for dead and back again, takes nothing out of the hands of whoever has it now.
-- KEYS  inbox (stream)
-- ARGV  group, consumer that gives back, entry id, name of the released, ms that the entry shall look untouched for
-- Answers 1 if it was given back, 0 if the consumer did not hold it.
local held = redis.pcall('XPENDING', KEYS[1], ARGV[1], ARGV[3], ARGV[3], 1, ARGV[2])
if held.err then
  if string.sub(held.err, 1, 7) == 'NOGROUP' then return 0 end -- nobody ever read from it
  return held
end
if #held == 0 then return 0 end
redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[4], 0, ARGV[3], 'IDLE', ARGV[5], 'JUSTID')
return 1
