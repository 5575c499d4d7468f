#!lua
-- Moves timers whose time has come, by the server's clock, into their inboxes.
-- KEYS  due (zset: one byte that names the inbox, then the pointer; by unix ms), then the inboxes in the order of that byte
-- ARGV  limit
-- Answers how many were moved.
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
local timers = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now_ms, 'LIMIT', 0, ARGV[1])
if #timers == 0 then return 0 end -- nearly always: every worker asks four times a second
for i = 2, #KEYS do redis.call('XLEN', KEYS[i]) end -- a key of a wrong type refuses before anything is written
local moved = 0
for _, timer in ipairs(timers) do
  local inbox = KEYS[1 + string.byte(timer)]
  if inbox then -- another byte is a newer program's timer: it stays for that program
    redis.call('XADD', inbox, '*', 'p', string.sub(timer, 2))
    redis.call('ZREM', KEYS[1], timer)
    moved = moved + 1
  end
end
return moved
