#!lua flags=allow-oom
-- Puts the newest version of a table of the index in the place of what was seen.
-- KEYS  table (hash): version, staged      ARGV  version and staged that were seen, then those to put; '' for none
-- Answers 1 if it was done, 0 if something else is there.
local held = redis.call('HMGET', KEYS[1], 'version', 'staged')
if (held[1] or '') ~= ARGV[1] or (held[2] or '') ~= ARGV[2] then return 0 end
if ARGV[3] == '' then redis.call('DEL', KEYS[1]) return 1 end
redis.call('HSET', KEYS[1], 'version', ARGV[3], 'staged', ARGV[4])
return 1
