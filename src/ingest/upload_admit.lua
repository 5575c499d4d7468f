#!lua
-- Counts an upload as open, unless its actor has too many.
-- KEYS  due, of the actor (zsets by µs)      ARGV  id, expires µs, now µs, open max, kept until ms
-- Answers 1 if it counts, 0 if there are too many others.
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', ARGV[3])
if not redis.call('ZSCORE', KEYS[2], ARGV[1]) and redis.call('ZCARD', KEYS[2]) >= tonumber(ARGV[4]) then return 0 end
redis.call('ZADD', KEYS[1], ARGV[2], ARGV[1])
redis.call('ZADD', KEYS[2], ARGV[2], ARGV[1])
redis.call('PEXPIREAT', KEYS[2], ARGV[5])
return 1
