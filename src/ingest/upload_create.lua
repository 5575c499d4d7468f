#!lua
-- Makes an upload, unless there is one of this id.
-- KEYS  upload (hash)      ARGV  about, kind, length or '', expires µs, kept until ms
-- Answers the upload that is there then: about, length, offset, fence, pieces, expires, outcome
if redis.call('EXISTS', KEYS[1]) == 0 then
  redis.call('HSET', KEYS[1], 'about', ARGV[1], 'kind', ARGV[2], 'length', ARGV[3], 'offset', 0, 'fence', 0,
    'pieces', 0, 'expires', ARGV[4])
  -- A final one has all its bytes: it is kept until it has an outcome.
  if ARGV[2] ~= 'final' then redis.call('PEXPIREAT', KEYS[1], ARGV[5]) end
end
return redis.call('HMGET', KEYS[1], 'about', 'length', 'offset', 'fence', 'pieces',
  'expires', 'outcome')
