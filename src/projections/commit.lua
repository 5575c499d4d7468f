#!lua
-- Writes rows, lists and checkpoint of one generation in one step, and announces the changed rows.    (behind `leaves.lua`, `leaf_changes.lua`)
--
-- KEYS  checkpoint  hash    token, position, number, unreadable, unknown, refused, holder, until (server ms),
--                           retired (unix us: no task that finished before is held), written (position and retired of the
--                           last commit that knew of leaves)
--       changes     stream  c: packed changes, b: bytes of all entries ever, for trimming
--       names       set     of every list of the generation that has a member
--       leaved      hash    of lists that have leaves
--       then the tables (hash: row by id), then the lists (zset, all scores 0: ordered by member), then one that is
--       never there (`ABSENT` in `redis_views.py`)
-- ARGV  token, position expected, position, number, unreadable, unknown, refused, lease_ms, changes or '',
--       feed_bytes_max, tables, lists, retired expected, retired, what the keys of the generation begin with,
--       new leaves (0, 1), then
--       for each table: rows, removed, then id and row of each, id of each removed;
--       for each list: name, removed, added, each removed, each added; both in order
-- A page moves the position on, a sweep `retired`.
-- Answers 1 (also when this very commit took effect before), 0 where token or checkpoint are others by now.
local CHECKPOINT, CHANGES, NAMES, LEAVED = KEYS[1], KEYS[2], KEYS[3], KEYS[4]

local found = call('HMGET', CHECKPOINT, 'token', 'position', 'retired')
if found[1] ~= ARGV[1] then return 0 end
local position, retired = found[2] or '', found[3] or '0'
if position == ARGV[3] and retired == ARGV[14] then return 1 end
if position ~= ARGV[2] or retired ~= ARGV[13] then return 0 end

call('ZREMRANGEBYRANK', KEYS[#KEYS], 0, 0) -- a user without the right is refused before anything is written, not in its midst

local function in_parts(command, key, first, count, ...)
  for from = first, first + count - 1, VALUES_MAX do
    call(command, key, unpack(ARGV, from, math.min(from + VALUES_MAX, first + count) - 1))
  end
end

local function change(list, first, removed, added)
  local count, top, last = list.count, list.top, first + removed - 1
  local above = first_above(list, first, last)
  each_leaf(list, first, above - 1, out_of_leaf)
  in_parts('ZREM', list.key, above, last - above + 1)
  add(list, last + 1, last + added)
  if list.count == 0 and count > 0 then
    call('HDEL', LEAVED, list.name)
  elseif list.count ~= count or list.top ~= top then
    call('HSET', LEAVED, list.name, string.format('%d %s %s', list.count, list.form, list.top))
  end
end

local tables, lists = tonumber(ARGV[11]), tonumber(ARGV[12])
local place = 17
for t = 1, tables do
  local values, removed = 2 * tonumber(ARGV[place]), tonumber(ARGV[place + 1])
  in_parts('HSET', KEYS[4 + t], place + 2, values)
  in_parts('HDEL', KEYS[4 + t], place + 2 + values, removed)
  place = place + 2 + values + removed
end
for l = 1, lists do
  local list = list_of(ARGV[15], LEAVED, ARGV[place], KEYS[4 + tables + l])
  local removed, added = tonumber(ARGV[place + 1]), tonumber(ARGV[place + 2])
  change(list, place + 3, removed, added)
  if added > 0 then
    call('SADD', NAMES, list.name)
  elseif list.count == 0 and call('EXISTS', list.key) == 0 then
    call('SREM', NAMES, list.name)
  end
  place = place + 3 + removed + added
end

local time = call('TIME')
local now_ms = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
call('HSET', CHECKPOINT, 'position', ARGV[3], 'number', ARGV[4], 'unreadable', ARGV[5], 'unknown', ARGV[6],
  'refused', ARGV[7], 'until', string.format('%d', now_ms + tonumber(ARGV[8])), 'retired', ARGV[14],
  'written', ARGV[3] .. ' ' .. ARGV[14])

if ARGV[9] ~= '' then
  local last = call('XREVRANGE', CHANGES, '+', '-', 'COUNT', 1)[1]
  local total = (last and tonumber(last[2][4]) or 0) + #ARGV[9]
  call('XADD', CHANGES, '*', 'c', ARGV[9], 'b', string.format('%d', total))
  local oldest = call('XRANGE', CHANGES, '-', '+', 'COUNT', 1)[1]
  local excess = total - tonumber(oldest[2][4]) - tonumber(ARGV[10])
  if excess > 0 then
    -- A tenth at a time, so that not every commit trims; the entry just written always stays.
    local length = call('XLEN', CHANGES)
    call('XTRIM', CHANGES, 'MAXLEN', math.max(1, math.floor(length * 0.9)))
  end
end
return 1
