#!lua
-- Counts one call to a provider, where it may be made now. The rules are those of provider.py.
-- KEYS  provider (hash, see redis_provider.py)
-- ARGV  now µs ('' for the server's clock), kept ms, probe µs, then for requests and for tokens: cost µs, credit µs
--       (cost 0: no limit)
-- Answers {µs to wait, 0 down | 1 asked | 2 limited, 1 if a success needs no report}; counts nothing where one must wait
local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = tonumber(time[1]) * 1000000 + tonumber(time[2])
end
local found = redis.call('HMGET', KEYS[1], 'requests', 'tokens', 'forbidden', 'refusals', 'failures', 'open', 'probe')
local state = {}
for i = 1, 7 do state[i] = tonumber(found[i] or 0) end
local paid, forbidden, open, probe = {state[1], state[2]}, state[3], state[6], state[7]

local is_half_open = open > 0 and now >= open
local wait, reason = 0, 0
local function take_longer(other, because)
  if other > wait then wait, reason = other, because end
end
if is_half_open then take_longer(probe - now, 0) elseif open > 0 then take_longer(open - now, 0) end
take_longer(forbidden - now, 1)
for i = 1, 2 do
  local cost, credit = tonumber(ARGV[2 + 2 * i]), tonumber(ARGV[3 + 2 * i])
  if cost > 0 then take_longer(paid[i] - credit - now, 2) end
end
if wait > 0 then return {wait, reason, 0} end

for i = 1, 2 do
  local cost = tonumber(ARGV[2 + 2 * i])
  paid[i] = cost > 0 and math.max(paid[i], now) + cost or 0
end
if is_half_open then probe = now + tonumber(ARGV[3]) end
redis.call('HSET', KEYS[1], 'requests', string.format('%d', paid[1]), 'tokens', string.format('%d', paid[2]),
  'probe', string.format('%d', probe))
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return {0, 0, (open == 0 and state[5] == 0 and state[4] == 0) and 1 or 0}
