#!lua flags=no-writes
-- A part of one list with its rows, of one moment and one generation.
-- KEYS  meta (hash), list (zset), table (hash)
-- ARGV  generation that the keys are of, place or '', limit, newest first (0, 1), characters before the id, floor or ''
-- Answers {live generation} where it is another, else {live generation, length of the list, member, row...}
local call = redis.call
local live = call('HGET', KEYS[1], 'generation') or '1'
if live ~= ARGV[1] then return {live} end
local floor = ARGV[6] == '' and '-' or '[' .. ARGV[6]
local members
if ARGV[4] == '1' then
  local top = ARGV[2] == '' and '+' or '(' .. ARGV[2]
  members = call('ZRANGE', KEYS[2], top, floor, 'BYLEX', 'REV', 'LIMIT', 0, ARGV[3])
else
  -- Of two lower ends the higher one counts; a place is never below the floor that it was read with.
  local low = ARGV[2] == '' and floor or '(' .. ARGV[2]
  if ARGV[2] ~= '' and ARGV[2] < ARGV[6] then low = floor end
  members = call('ZRANGE', KEYS[2], low, '+', 'BYLEX', 'LIMIT', 0, ARGV[3])
end
local answer = {live, floor == '-' and call('ZCARD', KEYS[2]) or call('ZLEXCOUNT', KEYS[2], floor, '+')}
for _, member in ipairs(members) do
  answer[#answer + 1] = member
  answer[#answer + 1] = call('HGET', KEYS[3], string.sub(member, tonumber(ARGV[5]) + 1)) or ''
end
return answer
