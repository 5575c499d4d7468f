#!lua
-- Makes a built generation the live one, if both stand at the same place and both leases are held.
-- KEYS  meta (hash), checkpoint of the live generation, checkpoint of the built one
-- ARGV  live generation, its token, built generation, its token
-- Answers 1 | 0
local call = redis.call
if (call('HGET', KEYS[1], 'generation') or '1') ~= ARGV[1] then return 0 end
local old, new = call('HMGET', KEYS[2], 'token', 'position'), call('HMGET', KEYS[3], 'token', 'position')
local function entry(position) return string.match(position or '', '%-(.+)$') end -- whatever the epoch it was read in
if old[1] ~= ARGV[2] or new[1] ~= ARGV[4] or entry(old[2]) ~= entry(new[2]) then return 0 end
call('HSET', KEYS[1], 'generation', ARGV[3])
call('HSET', KEYS[3], 'holder', '')
return 1
