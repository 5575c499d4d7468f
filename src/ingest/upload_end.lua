#!lua flags=allow-oom
-- Gives an upload its outcome, unless it has one, and forgets its pieces.
-- KEYS  upload (hash), its pieces (list)      ARGV  outcome, kept until ms
-- Answers the upload as it is then: about, length, offset, fence, pieces, expires, outcome
local found = redis.call('HMGET', KEYS[1], 'offset', 'outcome')
if found[1] and not found[2] then
  redis.call('HSET', KEYS[1], 'outcome', ARGV[1])
  redis.call('PEXPIREAT', KEYS[1], ARGV[2])
  redis.call('DEL', KEYS[2])
end
return redis.call('HMGET', KEYS[1], 'about', 'length', 'offset', 'fence', 'pieces',
  'expires', 'outcome')
