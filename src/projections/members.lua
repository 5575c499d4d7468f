#!lua flags=no-writes
-- A part of one list, in order.    (behind `leaves.lua`)
-- KEYS  list (zset), leaved (hash), one that is never there
-- ARGV  place or '', limit, name of the list, what the keys of its generation begin with
-- Answers members
local members = {}
local list = list_of(ARGV[4], KEYS[2], ARGV[3], KEYS[1])
upwards(list, ARGV[1] ~= '' and ARGV[1] or nil, '(', tonumber(ARGV[2]), members)
return members
