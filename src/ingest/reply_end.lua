#!lua
-- Keeps the answer of a request, or forgets the request, where it is still the caller's.
-- KEYS  reply (hash, as in reply_begin.lua)
-- ARGV  token, kept_ms, answer ('': forget)
-- Answers 1 | 0
local call = redis.call
if call('HGET', KEYS[1], 't') ~= ARGV[1] then return 0 end
if ARGV[3] == '' then
  call('DEL', KEYS[1])
else
  call('HSET', KEYS[1], 'r', ARGV[3])
  call('HDEL', KEYS[1], 't')
  call('PEXPIRE', KEYS[1], ARGV[2])
end
return 1
