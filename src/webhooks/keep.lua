#!lua
-- Keeps, replaces or deletes one subscription, compared with what the caller saw.
-- KEYS  subscriptions (hash: packed subscription with secrets by id), state (hash: version, callbacks)
-- ARGV  id, before ('' : none), after ('': delete), count_max (0: no matter)
-- Answers 1 done (also when it was done before), 0 it is another by now, -1 there are count_max already.
local call = redis.call
local found = call('HGET', KEYS[1], ARGV[1]) or ''
if found == ARGV[3] then return 1 end
if found ~= ARGV[2] then return 0 end
if found == '' and tonumber(ARGV[4]) > 0 and call('HLEN', KEYS[1]) >= tonumber(ARGV[4]) then return -1 end
if ARGV[3] == '' then
  call('HDEL', KEYS[1], ARGV[1])
else
  call('HSET', KEYS[1], ARGV[1], ARGV[3])
end
call('HINCRBY', KEYS[2], 'version', 1)
return 1
