#!lua flags=allow-oom
-- KEYS  inbox (stream)      ARGV  group, entry id
-- Answers 1 if the entry was in somebody's hands, 0 if it was taken out before.
if redis.call('XACK', KEYS[1], ARGV[1], ARGV[2]) == 0 then return 0 end
redis.call('XDEL', KEYS[1], ARGV[2])
return 1
