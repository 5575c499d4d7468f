#!lua
-- Deletes a part of a generation that is not live, in one step: whoever builds it meanwhile loses the lease with it, and
-- whoever made it live in the meantime keeps it.    (behind `leaves.lua`)
-- KEYS  meta (hash), checkpoint of the generation, names of its lists (set), leaved (hash), then its tables (hashes), then
--       one that is never there
-- ARGV  generation, lists and leaves at most, what the keys of the generation begin with
-- Answers -1 (it is live) | 0 (there is more) | 1 (nothing is left)
if (call('HGET', KEYS[1], 'generation') or '1') == ARGV[1] then return -1 end
call('UNLINK', KEYS[2])
local left = tonumber(ARGV[2])
for _, name in ipairs(call('SRANDMEMBER', KEYS[3], left)) do
  if left < 1 then return 0 end
  local list = list_of(ARGV[3], KEYS[4], name, ARGV[3] .. 'index:' .. name)
  for _, bound in ipairs(call('ZRANGE', list.directory, 0, left - 1)) do
    call('UNLINK', list.leaf .. bound)
    call('ZREM', list.directory, bound)
    left = left - 1
  end
  if left < 1 then return 0 end
  call('UNLINK', list.key, list.groups, list.sums)
  call('SREM', KEYS[3], name)
  left = left - 1
end
if call('EXISTS', KEYS[3]) == 1 then return 0 end
-- The server frees a hash of millions of rows in a thread of its own.
for place = 4, #KEYS do call('UNLINK', KEYS[place]) end
return 1
