#!lua
-- Gives the lease on one generation, or renews it.
-- KEYS  meta (hash; generation: the live one, fence: last token given), checkpoint (hash), leaved (hash)
-- ARGV  generation, holder, lease_ms, build (0, 1), seize (0, 1), token of the lease that is renewed (0: none)
-- Answers {0, live generation} | {2, ms left} | {1, token, 1 where a release that knows of no leaves wrote last to lists
--   that have some (0, 1), position or '', number, unreadable, unknown, refused, retired}
local call = redis.call
local META, CHECKPOINT = KEYS[1], KEYS[2]
local live, wanted = tonumber(call('HGET', META, 'generation') or 1), tonumber(ARGV[1])
if ARGV[4] == '1' then
  if wanted <= live then return {0, live} end
elseif wanted ~= live then
  return {0, live}
end
local found = call('HMGET', CHECKPOINT, 'holder', 'until', 'token',
  'position', 'number', 'unreadable', 'unknown', 'refused', 'retired', 'written')
local time = call('TIME')
local now_ms = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local until_ms = tonumber(found[2] or 0)
local is_held = found[1] and found[1] ~= '' and until_ms > now_ms
if is_held and found[1] ~= ARGV[2] and ARGV[5] ~= '1' then return {2, until_ms - now_ms} end
local token = found[3]
if not is_held or found[1] ~= ARGV[2] or token ~= ARGV[6] then
  token = string.format('%d', call('HINCRBY', META, 'fence', 1))
end
call('HSET', CHECKPOINT, 'holder', ARGV[2], 'until', string.format('%d', now_ms + tonumber(ARGV[3])), 'token', token)
local last = (found[4] or '') .. ' ' .. (found[9] or '0')
local is_by_older = found[10] ~= last and call('EXISTS', KEYS[3]) or 0
return {1, token, is_by_older, found[4] or '', found[5] or '0', found[6] or '0', found[7] or '0', found[8] or '0', found[9] or '0'}
