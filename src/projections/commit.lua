#!lua
-- Writes rows, lists and checkpoint of one generation in one step, and announces the changed rows.    (behind `leaves.lua`)
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
local VALUES_MAX = 2000 -- even; Lua's stack holds 8,000 values
local MEMBERS_MAX = VALUES_MAX / 2 -- each with its score
local SEALINGS_MIN = 4 -- a commit takes so many more than it adds: what was written in one piece is in leaves after a while

local found = call('HMGET', CHECKPOINT, 'token', 'position', 'retired')
if found[1] ~= ARGV[1] then return 0 end
local position, retired = found[2] or '', found[3] or '0'
if position == ARGV[3] and retired == ARGV[14] then return 1 end
if position ~= ARGV[2] or retired ~= ARGV[13] then return 0 end

local function in_parts(command, key, first, count, ...)
  for from = first, first + count - 1, VALUES_MAX do
    call(command, key, unpack(ARGV, from, math.min(from + VALUES_MAX, first + count) - 1))
  end
end

-- Some values of a table into a list, or a part of one, that is in one piece.
local function enter(key, values, first, last)
  local scored = {}
  for v = first, last do
    scored[#scored + 1] = 0
    scored[#scored + 1] = values[v]
  end
  return call('ZADD', key, unpack(scored))
end

-- Calls `visit` for each leaf with those of a range of ARGV that have their place in it.
local function each_leaf(list, first, last, visit)
  while first <= last do
    local bound, next_bound = bound_of(list, ARGV[first]), bound_above(list, ARGV[first], '(')
    local group = {}
    repeat
      group[#group + 1] = inside(list, ARGV[first])
      first = first + 1
    until first > last or #group == MEMBERS_MAX or (next_bound and not is_below(ARGV[first], next_bound))
    visit(list, bound, group)
  end
end

local function out_of_leaf(list, bound, group)
  if not bound then return end
  list.count = list.count - call('ZREM', list.leaf .. bound, unpack(group))
  if call('EXISTS', list.leaf .. bound) == 0 then call('ZREM', list.directory, bound) end
end

local function into_leaf(list, bound, group)
  if not bound then
    bound = ''
    call('ZADD', list.directory, 0, bound)
  end
  local leaf = list.leaf .. bound
  list.count = list.count + enter(leaf, group, 1, #group)
  local size = call('ZCARD', leaf)
  if size <= LEAF_MAX then return end
  local members = call('ZRANGE', leaf, 0, -1)
  local part = math.ceil(size / math.ceil(size / LEAF_MAX))
  call('DEL', leaf)
  for from = 1, size, part do
    if from > 1 then bound = outside(list, members[from]) end
    call('ZADD', list.directory, 0, bound)
    enter(list.leaf .. bound, members, from, math.min(from + part - 1, size))
  end
end

local packed_already = {} -- a row stands in several lists at the same place

-- The lowest members of a list go into a leaf of their own; false where they have another form than those before.
local function seal(list)
  local lowest, scored = call('ZRANGE', list.key, 0, SEALED - 1), {}
  local form = list.form or packed(lowest[1]) and 'p' or 't'
  for m = #lowest, 1, -1 do -- the highest first: each then lies in front of what is there, and nothing is looked through
    local member = lowest[m]
    if form == 'p' then
      local bytes = packed_already[member] or packed(member)
      if not bytes then return false end
      packed_already[member], member = bytes, bytes
    end
    scored[#scored + 1] = 0
    scored[#scored + 1] = member
  end
  local bound = call('ZCARD', list.directory) > 0 and lowest[1] or ''
  call('ZADD', list.directory, 0, bound)
  call('ZADD', list.leaf .. bound, unpack(scored))
  call('ZREM', list.key, unpack(lowest))
  list.count, list.form, list.top = list.count + #lowest, form, lowest[#lowest]
  return true
end

-- The first of a range of ARGV that is above the leaves.
local function first_above(list, first, last)
  while list.top and first <= last and not is_below(list.top, ARGV[first]) do first = first + 1 end
  return first
end

-- Makes room for a part of those that enter; of them, what is below the members that went down goes into leaves too.
local function add(list, first, last)
  local size, sealings = call('ZCARD', list.key), 0
  if ARGV[16] == '1' then sealings = SEALINGS_MIN + math.ceil((last - first + 1) / SEALED) end
  while first <= last do
    local above = first_above(list, first, last)
    each_leaf(list, first, above - 1, into_leaf)
    local to = math.min(above + TOP_MAX - SEALED - 1, last)
    if sealings > 0 and size >= SEALED and size + to - above + 1 > TOP_MAX and above <= to and seal(list) then
      size, sealings = size - SEALED, sealings - 1
    elseif above <= to then
      size = size + enter(list.key, ARGV, above, to)
      above = to + 1
    end
    first = above
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
