#!lua
-- Puts what follows from streams that still stand at the version it was worked out from; an append that moved one has
-- put what follows from there.
-- KEYS  due (zset: timer by unix ms), dead (zset: stream id by unix ms), then for each: stream (hash), quiet (hash), inbox
-- ARGV  for each: packed stream id, version, then i '' pointer | t due_ms timer | d failed_ms stream | r '' stream
-- Answers 1 or 0 for each.
local call = redis.call
local DUE, DEAD = KEYS[1], KEYS[2]
call('ZCARD', DUE)
call('ZCARD', DEAD)
local answer = {}
for i = 1, (#KEYS - 2) / 3 do
  local stream, quiet, inbox, place = KEYS[3 * i], KEYS[3 * i + 1], KEYS[3 * i + 2], 5 * (i - 1)
  local version = call('HGET', stream, 'v')
  if not version then
    local gone = call('HGET', quiet, ARGV[place + 1])
    version = gone and string.match(gone, '^%d+') or '0'
  end
  local kind, time, member = ARGV[place + 3], ARGV[place + 4], ARGV[place + 5]
  answer[i] = version == ARGV[place + 2] and 1 or 0
  if answer[i] == 1 then
    if kind == 'i' then
      call('XADD', inbox, '*', 'p', member)
    elseif kind == 't' then
      call('ZADD', DUE, time, member)
    elseif kind == 'd' then
      call('ZADD', DEAD, time, member)
    else
      call('ZREM', DEAD, member)
    end
  end
end
return answer
