#!lua
-- Notes how a call to a provider ended. The rules are those of provider.py and breaker.py.
-- KEYS  provider (hash, see redis_provider.py)
-- ARGV  now µs ('' for the server's clock), kept ms, succeeded | failed | refused, µs that the provider asked for (-1 none),
--       failures that open, µs open, shortest and longest window after a refusal that names no time
local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = tonumber(time[1]) * 1000000 + tonumber(time[2])
end
local found = redis.call('HMGET', KEYS[1], 'forbidden', 'refusals', 'failures', 'open', 'probe')
local state = {}
for i = 1, 5 do state[i] = tonumber(found[i] or 0) end
local forbidden, refusals, failures, open, probe = state[1], state[2], state[3], state[4], state[5]
local verdict, asked = ARGV[3], tonumber(ARGV[4])
local is_open = open > 0 and now < open

if verdict == 'succeeded' then
  refusals = 0
  if not is_open then failures, open, probe = 0, 0, 0 end
elseif verdict == 'failed' then
  if asked >= 0 then forbidden = math.max(forbidden, now + asked) end
  if not is_open then
    failures = failures + 1
    if open > 0 or failures >= tonumber(ARGV[5]) then failures, open, probe = 0, now + tonumber(ARGV[6]), 0 end
  end
else
  local least, most = tonumber(ARGV[7]), tonumber(ARGV[8])
  local pause = asked
  if asked < 0 then pause = math.min(most, least * 2 ^ math.min(refusals, 6)) end
  forbidden = math.max(forbidden, now + math.max(pause, least))
  refusals = refusals + 1
end
local function whole(number) return string.format('%d', number) end
redis.call('HSET', KEYS[1], 'forbidden', whole(forbidden), 'refusals', whole(refusals), 'failures', whole(failures),
  'open', whole(open), 'probe', whole(probe))
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1
