-- What enters and leaves long lists, in their leaves: behind `leaves.lua`, for `commit.lua`, whose ARGV these functions take
-- members from: always a range of it, in order.
local VALUES_MAX = 2000 -- even; Lua's stack holds 8,000 values
local MEMBERS_MAX = VALUES_MAX / 2 -- each with its score
local SEALINGS_MIN = 4 -- a commit takes so many more than it adds: what was written in one piece is in leaves after a while

-- Some values of a table into a list, or a part of one, that is in one piece.
local function enter(key, values, first, last)
  local scored = {}
  for v = first, last do
    scored[#scored + 1] = 0
    scored[#scored + 1] = values[v]
  end
  return call('ZADD', key, unpack(scored))
end

-- Divides the leaves of a group, or of a list without groups, into groups of half the size that one may have.
local function divide(list, group, next_group)
  local leaves = call('ZRANGE', list.directory, '[' .. group, next_group and '(' .. next_group or '+', 'BYLEX')
  for first = 1, #leaves, GROUP_MAX / 2 do
    local sum = 0
    for leaf = first, math.min(first + GROUP_MAX / 2 - 1, #leaves) do
      sum = sum + call('ZCARD', list.leaf .. leaves[leaf])
    end
    local bound = first == 1 and group or leaves[first]
    call('ZADD', list.groups, 0, bound)
    call('HSET', list.sums, bound, sum)
  end
end

-- A leaf has become larger or smaller by so many members, in which `list.count` has them.
local function resized(list, bound, change)
  list.count = list.count + change
  if list.is_grouped == nil then list.is_grouped = call('EXISTS', list.groups) == 1 end
  if not list.is_grouped or change == 0 then return end
  local group = group_of(list, bound)
  if not group then
    group = bound
    call('ZADD', list.groups, 0, group)
  end
  if call('HINCRBY', list.sums, group, change) == 0 then
    call('HDEL', list.sums, group)
    call('ZREM', list.groups, group)
  end
end

-- There is a leaf more, whose members are counted.
local function has_leaf(list, bound)
  if list.is_grouped then
    local group, next_group = group_of(list, bound), group_behind(list, bound)
    local leaves = call('ZLEXCOUNT', list.directory, '[' .. group, next_group and '(' .. next_group or '+')
    if leaves > GROUP_MAX then divide(list, group, next_group) end
  elseif call('ZCARD', list.directory) > GROUP_MAX then
    divide(list, '', nil)
    list.is_grouped = true
  end
end

-- Calls `visit` for each leaf with those of a range of ARGV that have their place in it, the highest leaf first: all that are
-- left and not below its bound are in it, so nobody asks where the next one begins.
local function each_leaf(list, first, last, visit)
  while first <= last do
    local bound = bound_of(list, ARGV[last])
    local group = {}
    repeat
      group[#group + 1] = inside(list, ARGV[last])
      last = last - 1
    until first > last or #group == MEMBERS_MAX or (bound and is_below(ARGV[last], bound))
    visit(list, bound, group)
  end
end

local function out_of_leaf(list, bound, group)
  if not bound then return end
  resized(list, bound, -call('ZREM', list.leaf .. bound, unpack(group)))
  if call('EXISTS', list.leaf .. bound) == 0 then call('ZREM', list.directory, bound) end
end

local function into_leaf(list, bound, group)
  local is_new = not bound
  if is_new then
    bound = ''
    call('ZADD', list.directory, 0, bound)
  end
  local leaf = list.leaf .. bound
  resized(list, bound, enter(leaf, group, 1, #group))
  if is_new then has_leaf(list, bound) end
  local size = call('ZCARD', leaf)
  if size <= LEAF_MAX then return end
  local members, parts = call('ZRANGE', leaf, 0, -1), {}
  local part = math.ceil(size / math.ceil(size / LEAF_MAX))
  resized(list, bound, -size)
  call('DEL', leaf)
  for from = 1, size, part do
    local own = from == 1 and bound or outside(list, members[from])
    call('ZADD', list.directory, 0, own)
    parts[own] = enter(list.leaf .. own, members, from, math.min(from + part - 1, size))
  end
  -- Not all need be of one group: where the first leaf of one has gone, its place is in the leaf in front of it.
  for own, count in pairs(parts) do resized(list, own, count) end
  for own in pairs(parts) do has_leaf(list, own) end
end

local packed_already = {} -- a row stands in several lists at the same place

-- The lowest members of a list go into a leaf of their own: `count` that are at its top, and for the rest ARGV from `first` on,
-- which lie above those. False where they have another form than those before.
local function seal(list, count, first)
  local lowest, scored = count > 0 and call('ZRANGE', list.key, 0, count - 1) or {}, {}
  for place = first, first + SEALED - count - 1 do lowest[#lowest + 1] = ARGV[place] end
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
  local added = call('ZADD', list.leaf .. bound, unpack(scored))
  if count > 0 then call('ZREMRANGEBYRANK', list.key, 0, count - 1) end
  list.form, list.top = form, lowest[#lowest]
  resized(list, bound, added)
  has_leaf(list, bound)
  return true
end

-- The first of a range of ARGV that is above the leaves.
local function first_above(list, first, last)
  while list.top and first <= last and not is_below(list.top, ARGV[first]) do first = first + 1 end
  return first
end

-- Whether all that is at the top of a list lies below a member.
local function is_above_top(list, size, member)
  return size == 0 or is_below(call('ZRANGE', list.key, -1, -1)[1], member)
end

-- Makes room for a part of those that enter. Of them, what is below the members that went down goes into leaves too, and of a
-- long run that lies above all others most goes there at once.
local function add(list, first, last)
  local size, sealings = call('ZCARD', list.key), 0
  if ARGV[16] == '1' then sealings = SEALINGS_MIN + math.ceil((last - first + 1) / SEALED) end
  while first <= last do
    local above = first_above(list, first, last)
    each_leaf(list, first, above - 1, into_leaf)
    local is_full = sealings > 0 and above <= last and size + last - above + 1 > TOP_MAX
    if is_full and size >= SEALED and seal(list, SEALED, above) then
      size, sealings = size - SEALED, sealings - 1
    elseif is_full and size < SEALED and is_above_top(list, size, ARGV[above]) and seal(list, size, above) then
      above, size, sealings = above + SEALED - size, 0, sealings - 1
    elseif above <= last then
      local to = math.min(above + math.max(TOP_MAX - size, TOP_MAX - SEALED) - 1, last)
      size = size + enter(list.key, ARGV, above, to)
      above = to + 1
    end
    first = above
  end
end
