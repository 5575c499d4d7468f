#!lua flags=allow-oom
-- Takes over what is in the hands of dead consumers, at most `count` entries, and takes dead consumers without any out.
-- Asking and claiming in one call: two claimers never take the same entry from one another.
-- KEYS  inboxes (streams)
-- ARGV  group, consumer, count, silent_ms_min, name of the released, number of dead names, dead names, living names
-- Answers {inbox, entry id, pointer, ...}
local group, consumer, rest, silent_ms_min = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local dead_count = tonumber(ARGV[6])
local dead, living = {[ARGV[5]] = true}, {}
for i = 7, 6 + dead_count do dead[ARGV[i]] = true end
for i = 7 + dead_count, #ARGV do living[ARGV[i]] = true end

local found = {}
for i, key in ipairs(KEYS) do
  local consumers = redis.pcall('XINFO', 'CONSUMERS', key, group)
  if not consumers.err then
    table.sort(consumers, function(a, b) return a[2] < b[2] end)
    for _, info in ipairs(consumers) do
      local name, idle_ms = info[2], info[6]
      local is_dead = dead[name] or (not living[name] and idle_ms > silent_ms_min)
      if is_dead and name ~= consumer then
        for _, pending in ipairs(redis.call('XPENDING', key, group, '-', '+', rest, name)) do
          local entry = redis.call('XCLAIM', key, group, consumer, 0, pending[1])[1]
          if entry and entry[2] then -- a deleted one has left the pending entries by being claimed
            found[#found + 1], found[#found + 2], found[#found + 3] = i, entry[1], entry[2][2]
            rest = rest - 1
          end
        end
        -- Deleting a consumer that holds something would lose it: ask again, now.
        if #redis.call('XPENDING', key, group, '-', '+', 1, name) == 0 then
          redis.call('XGROUP', 'DELCONSUMER', key, group, name)
        end
      end
      if rest == 0 then return found end
    end
  end
end
return found
