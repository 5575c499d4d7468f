#!lua flags=no-writes
-- A part of one list with its rows, of one moment and one generation.    (behind `leaves.lua`)
-- KEYS  meta (hash), list (zset), table (hash), leaved (hash), one that is never there
-- ARGV  generation that the keys are of, place or '', limit, newest first (0, 1), characters before the id, floor or '',
--       name of the list, what the keys of the generation begin with
-- Answers {live generation} where it is another, else {live generation, length of the list, member, row...}
local live = call('HGET', KEYS[1], 'generation') or '1'
if live ~= ARGV[1] then return {live} end
local list = list_of(ARGV[8], KEYS[4], ARGV[7], KEYS[2])
local after, floor = ARGV[2] ~= '' and ARGV[2] or nil, ARGV[6] ~= '' and ARGV[6] or nil
local members, limit = {}, tonumber(ARGV[3])
if ARGV[4] == '1' then
  downwards(list, after, floor, limit, members)
elseif after and (not floor or not is_below(after, floor)) then
  upwards(list, after, '(', limit, members)
else
  upwards(list, floor, '[', limit, members)
end
local answer = {live, length_of(list, floor)}
for _, member in ipairs(members) do
  answer[#answer + 1] = member
  answer[#answer + 1] = call('HGET', KEYS[3], string.sub(member, tonumber(ARGV[5]) + 1)) or ''
end
return answer
