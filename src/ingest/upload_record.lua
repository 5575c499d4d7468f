#!lua
-- Adds pieces to an upload, if nobody else has taken it since. A repeated call finds them there.
-- KEYS  upload (hash), its pieces (list)
-- ARGV  fence, offset before, offset behind, expires µs, kept until ms, pieces...
-- Answers 1 if they count, 0 if not.
local found = redis.call('HMGET', KEYS[1], 'fence', 'outcome', 'offset', 'length', 'kind')
if found[1] ~= ARGV[1] or found[2] then return 0 end
if found[3] ~= ARGV[2] then return found[3] == ARGV[3] and 1 or 0 end
for i = 6, #ARGV do redis.call('RPUSH', KEYS[2], ARGV[i]) end
redis.call('HSET', KEYS[1], 'offset', ARGV[3], 'expires', ARGV[4], 'pieces', redis.call('LLEN', KEYS[2]))
for _, key in ipairs(KEYS) do
  -- What has all its bytes was promised to become a task: it waits for that, however long it takes.
  if ARGV[3] == found[4] and found[5] ~= 'partial' then
    redis.call('PERSIST', key)
  else
    redis.call('PEXPIREAT', key, ARGV[5])
  end
end
return 1
