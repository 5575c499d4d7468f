#!lua
-- Who finishes an upload: the first to ask, or the next after its time.
-- KEYS  upload (hash)      ARGV  holder, now µs, until µs
-- Answers 1 for the one who is to do it, 0 for all others.
local found = redis.call('HMGET', KEYS[1], 'offset', 'outcome', 'finishing', 'finisher')
if not found[1] or found[2] then return 0 end
if tonumber(found[3] or 0) > tonumber(ARGV[2]) and found[4] ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'finishing', ARGV[3], 'finisher', ARGV[1])
return 1
