#!lua flags=allow-oom
-- A lease: whoever holds it renews it, another takes it when it has ended.
-- KEYS  lease (string): its holder      ARGV  take | give, holder, ms that it lasts
-- Answers 1 if it was done, 0 if somebody else holds it.
local held = redis.call('GET', KEYS[1])
if held and held ~= ARGV[2] then return 0 end
if ARGV[1] == 'give' then return redis.call('DEL', KEYS[1]) end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1
