#!lua
-- Deletes a part of a generation that is not live, in one step: whoever builds it meanwhile loses the lease with it, and
-- whoever made it live in the meantime keeps it.
-- KEYS  meta (hash), checkpoint of the generation, names of its lists (set), then its tables (hashes)
-- ARGV  generation, lists at most, what the key of a list begins with
-- Answers -1 (it is live) | 0 (there is more) | 1 (nothing is left)
local call = redis.call
if (call('HGET', KEYS[1], 'generation') or '1') == ARGV[1] then return -1 end
call('UNLINK', KEYS[2])
local names = call('SRANDMEMBER', KEYS[3], ARGV[2])
for _, name in ipairs(names) do
    call('UNLINK', ARGV[3] .. name)
    call('SREM', KEYS[3], name)
end
if #names == tonumber(ARGV[2]) then return 0 end
-- The server frees a hash of millions of rows in a thread of its own.
for place = 3, #KEYS do call('UNLINK', KEYS[place]) end
return 1
