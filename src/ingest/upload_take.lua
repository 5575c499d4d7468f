#!lua
-- Gives the right to record to whoever asks now: a higher fence. Nothing changes unless all that is asked fits.
-- KEYS  upload (hash), its pieces (list)      ARGV  offset, length or ''
-- Answers the upload as it is then: about, length, offset, fence, pieces, expires, outcome
local found = redis.call('HMGET', KEYS[1], 'offset', 'length', 'kind', 'outcome')
local offset, length, kind, outcome = found[1], found[2], found[3], found[4]
if offset and not outcome and kind ~= 'final' and offset == ARGV[1]
  and (ARGV[2] == '' or length == '' or length == ARGV[2]) then
  redis.call('HINCRBY', KEYS[1], 'fence', 1)
  if ARGV[2] ~= '' and length == '' then
    redis.call('HSET', KEYS[1], 'length', ARGV[2])
    if ARGV[2] == offset and kind ~= 'partial' then
      for _, key in ipairs(KEYS) do redis.call('PERSIST', key) end
    end
  end
end
return redis.call('HMGET', KEYS[1], 'about', 'length', 'offset', 'fence', 'pieces',
  'expires', 'outcome')
