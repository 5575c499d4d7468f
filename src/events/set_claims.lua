#!lua
-- Sets digest claims that were worked out up to an event, if it still is the last: every append may change one.
-- KEYS  meta (hash; number: of the last event), then for each: a knowledge base's digests (hash, as in append.lua)
-- ARGV  number, then for each: digest, packed document ids, the holder first ('': nobody claims it)
-- Answers 1 | 0
local call = redis.call
if (call('HGET', KEYS[1], 'number') or '0') ~= ARGV[1] then return 0 end
for i = 2, #KEYS do
  local digest, claims = ARGV[2 * i - 2], ARGV[2 * i - 1]
  if claims == '' then
    call('HDEL', KEYS[i], digest)
  else
    call('HSET', KEYS[i], digest, claims)
  end
end
return 1
