#!lua
-- Begins the next epoch of a partition whose log has lost an event that somebody saw. Once for all who saw that epoch.
-- No entry id up to the one seen is given out (again), and the feed of view changes breaks off: whatever stood behind a
-- lost place of it begins with the present state.
-- KEYS  meta (hash: epoch), log (stream), changes (stream: c, b; see commit.lua)
-- ARGV  epoch and entry id of the event that was seen
-- Answers the epoch that holds, and 1 if this call began it
local call = redis.call
local epoch, seen = tonumber(call('HGET', KEYS[1], 'epoch') or 1), tonumber(ARGV[1])
if epoch > seen then return {epoch, 0} end
-- Refused where the log is behind it by now; else the id stays the last one given out when its entry has gone.
if not redis.pcall('XADD', KEYS[2], ARGV[2], 'e', '').err then call('XDEL', KEYS[2], ARGV[2]) end
local last = call('XREVRANGE', KEYS[3], '+', '-', 'COUNT', 1)[1]
local total = last and tonumber(last[2][4]) or 0
-- An entry without changes (an empty list in msgpack) tells of the break.
call('XADD', KEYS[3], '*', 'c', '\144', 'b', string.format('%d', total + 1))
call('HSET', KEYS[1], 'epoch', seen + 1)
return {seen + 1, 1}
