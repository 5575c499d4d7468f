#!lua
-- Begins a request that nobody has made before under its name, or tells what is known of it.
-- KEYS  reply (hash; f: fingerprint, t: token of who is at it, r: the answer once there is one; expires)
-- ARGV  fingerprint, token, lease_ms
-- Answers {0} begun | {1} other fingerprint | {2} under way | {3, answer}
local call = redis.call
local found = call('HMGET', KEYS[1], 'f', 'r')
if not found[1] then
  call('HSET', KEYS[1], 'f', ARGV[1], 't', ARGV[2])
  call('PEXPIRE', KEYS[1], ARGV[3])
  return {0}
end
if found[1] ~= ARGV[1] then return {1} end
if found[2] then return {3, found[2]} end
return {2}
