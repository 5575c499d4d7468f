-- Long lists in leaves: what `commit.lua`, `page.lua`, `members.lua` and `drop.lua` share. All keys are of one generation.
--
-- index:<list>        zset  the highest members, as text; all of them, as long as there are no more than TOP_MAX
-- leaved              hash  by list, once it has leaves: how many members are in them, their form (p packed, t text), and
--                           the top: a member up to which all are in leaves
-- leaves:<list>       zset  the bound of each leaf, as text: it holds the members from there to the next bound. The first is ''
-- leaf:<list>:<bound> zset  LEAF_MAX members at most, which the server packs tightly (`zset-max-listpack-entries`): 30 bytes
--                           a member, where a list in one piece takes 135. One without members is not there.
-- groups:<list>      zset  of lists with more than GROUP_MAX leaves: the bound of each group of them, as text; it holds the leaves
--                           from there to the next group. What is in front of the first one belongs to none, and has no leaf
-- sums:<list>        hash  by a group's bound: how many members are in its leaves. One without leaves is not there
-- Packed, a member is its time in 8 bytes, the first letter of the kind of its id, and the 17 bytes of the id. They sort
-- like the text. A list whose first members have another form keeps text in its leaves.
local call = redis.call
local LEAF_MAX = 128
local TOP_MAX = 96 -- the server looks through a packed list from its beginning
local GROUP_MAX = 128 -- so that a length is told from 64 leaves and half of the groups at most
local SEALED = 80 -- as many go down at a time into a leaf, which has room for some that come late
local TIME_DIGITS, ID_DIGITS, PACKED_BYTES = 16, 34, 26
local KINDS = {k = 'kb', t = 'task', d = 'doc'}

-- Whether a text sorts before another as the server sorts members, byte by byte. Lua's `<` is the locale's: to a server that
-- was started in Danish `aa` comes behind `b`.
local function is_below(one, other)
  for place = 1, #one, 4 do
    local a, b, c, d = string.byte(one, place, place + 3)
    local e, f, g, h = string.byte(other, place, place + 3)
    if a ~= e then return a < (e or -1) end
    if b ~= f then return (b or -1) < (f or -1) end
    if c ~= g then return (c or -1) < (g or -1) end
    if d ~= h then return (d or -1) < (h or -1) end
  end
  return #one < #other
end

-- A member packed, or the beginning of one that is a time alone; nil where it has another form.
local function packed(member)
  local kind, id = string.match(member, '^[0-9a-f]+:(%l*)_?([0-9a-f]*)$')
  if not kind or string.byte(member, TIME_DIGITS + 1) ~= 58 then return nil end -- the colon
  local high, low = tonumber(string.sub(member, 1, 8), 16), tonumber(string.sub(member, 9, 16), 16)
  if #member == TIME_DIGITS + 1 then return struct.pack('>I4I4', high, low) end
  local letter = string.sub(kind, 1, 1)
  if #id ~= ID_DIGITS or KINDS[letter] ~= kind then return nil end
  return struct.pack('>I4I4c0BI4I4I4I4', high, low, letter, tonumber(string.sub(id, 1, 2), 16),
    tonumber(string.sub(id, 3, 10), 16), tonumber(string.sub(id, 11, 18), 16),
    tonumber(string.sub(id, 19, 26), 16), tonumber(string.sub(id, 27, 34), 16))
end

local function unpacked(bytes)
  local high, low, letter, partition, a, b, c, d = struct.unpack('>I4I4c1BI4I4I4I4', bytes)
  return string.format('%08x%08x:%s_%02x%08x%08x%08x%08x', high, low, KINDS[letter], partition, a, b, c, d)
end

-- `prefix` is what the keys of the generation begin with.
local function list_of(prefix, leaved, name, key)
  local list = {name = name, key = key, directory = prefix .. 'leaves:' .. name, leaf = prefix .. 'leaf:' .. name .. ':',
    groups = prefix .. 'groups:' .. name, sums = prefix .. 'sums:' .. name}
  local found = call('HGET', leaved, name)
  if found then
    local count, form, top = string.match(found, '^(%d+) (%l) (.+)$')
    list.count, list.form, list.top = tonumber(count), form, top
  else
    list.count = 0
  end
  return list
end

-- As a member stands in the leaves, and back.
local function inside(list, member) return list.form == 'p' and packed(member) or member end
local function outside(list, found) return list.form == 'p' and #found == PACKED_BYTES and unpacked(found) or found end

local function bound_below(list, place, sign)
  return call('ZRANGE', list.directory, place and sign .. place or '+', '-', 'BYLEX', 'REV', 'LIMIT', 0, 1)[1]
end

local function bound_above(list, place, sign)
  return call('ZRANGE', list.directory, place and sign .. place or '-', '+', 'BYLEX', 'LIMIT', 0, 1)[1]
end

-- The leaf in which a member has its place.
local function bound_of(list, member) return bound_below(list, member, '[') end

-- Appends members below `after` (nil: all) and not below `floor` (nil: all), the highest first, until there are `limit`.
local function downwards(list, after, floor, limit, members)
  local function from(key, top, low, shown)
    for _, member in ipairs(call('ZRANGE', key, top and '(' .. top or '+', low and '[' .. low or '-',
      'BYLEX', 'REV', 'LIMIT', 0, limit - #members)) do
      members[#members + 1] = shown(list, member)
    end
  end
  from(list.key, after, floor, function(_, member) return member end)
  if not list.top then return end
  local bound = bound_below(list, after, '[')
  while bound and #members < limit do
    from(list.leaf .. bound, after and inside(list, after), floor and inside(list, floor), outside)
    bound = (not floor or is_below(floor, bound)) and bound_below(list, bound, '(')
  end
end

-- Appends members from `low` on (`sign` '(': behind it; nil: all), the lowest first, until there are `limit`.
local function upwards(list, low, sign, limit, members)
  local function from(key, place, shown)
    for _, member in ipairs(call('ZRANGE', key, place and sign .. place or '-', '+',
      'BYLEX', 'LIMIT', 0, limit - #members)) do
      members[#members + 1] = shown(list, member)
    end
  end
  if list.top and not (low and is_below(list.top, low)) then
    local bound = low and bound_of(list, low) or bound_above(list)
    while bound and #members < limit do
      from(list.leaf .. bound, low and inside(list, low), outside)
      bound = bound_above(list, bound, '(')
    end
  end
  if #members < limit then from(list.key, low, function(_, member) return member end) end
end

-- The group in which a leaf lies; nil where there is none.
local function group_of(list, bound)
  return call('ZRANGE', list.groups, '[' .. bound, '-', 'BYLEX', 'REV', 'LIMIT', 0, 1)[1]
end

-- The bound of the group behind a leaf; nil where there is none.
local function group_behind(list, bound)
  return call('ZRANGE', list.groups, '(' .. bound, '+', 'BYLEX', 'LIMIT', 0, 1)[1]
end

-- How many members are in the leaves of a part of the directory.
local function sum_of_leaves(list, from, to)
  local found = 0
  for _, bound in ipairs(call('ZRANGE', list.directory, from, to, 'BYLEX')) do
    found = found + call('ZCARD', list.leaf .. bound)
  end
  return found
end

-- How many members are in leaves that lie below one. `from` and `to` are the ends of a part of the directory, `whole` is how
-- many members it has: the leaves on the shorter side are counted.
local function sum_below(list, bound, from, to, whole)
  local below, all = call('ZLEXCOUNT', list.directory, from, '(' .. bound), call('ZLEXCOUNT', list.directory, from, to)
  if below < all / 2 then return sum_of_leaves(list, from, '(' .. bound) end
  return whole - sum_of_leaves(list, '[' .. bound, to)
end

-- The same with groups: those on the shorter side are added up, the leaves of one are counted.
local function sum_below_in_groups(list, bound)
  local group, next_group = group_of(list, bound), group_behind(list, bound)
  local function sum_of_groups(from, to)
    local found, groups = 0, call('ZRANGE', list.groups, from, to, 'BYLEX')
    for first = 1, #groups, 1000 do
      for _, sum in ipairs(call('HMGET', list.sums, unpack(groups, first, math.min(first + 999, #groups)))) do
        found = found + tonumber(sum)
      end
    end
    return found
  end
  local own, below = tonumber(call('HGET', list.sums, group)), nil
  if call('ZLEXCOUNT', list.groups, '-', '(' .. group) < call('ZCARD', list.groups) / 2 then
    below = sum_of_groups('-', '(' .. group)
  else
    below = list.count - own - sum_of_groups('(' .. group, '+')
  end
  return below + sum_below(list, bound, '[' .. group, next_group and '(' .. next_group or '+', own)
end

-- How many members there are from `floor` on (nil: all).
local function length_of(list, floor)
  if not floor then return call('ZCARD', list.key) + list.count end
  local length = call('ZLEXCOUNT', list.key, '[' .. floor, '+')
  if not list.top or is_below(list.top, floor) then return length end
  local bound = bound_of(list, floor)
  if not bound then return length + list.count end
  local below = 0
  if call('EXISTS', list.groups) == 1 then
    below = sum_below_in_groups(list, bound)
  else
    below = sum_below(list, bound, '-', '+', list.count)
  end
  return length + list.count - below - call('ZLEXCOUNT', list.leaf .. bound, '-', '(' .. inside(list, floor))
end
