#!lua flags=allow-oom
-- One lease as every process knows it. Work that ends frees memory, so it goes on when memory is full.
-- KEYS  lease (hash, expires; r: record, b: who ends it, u: until when (server ms), v: its verdict,
--       g: whoever gave it goes on)
-- ARGV  keep ms record | renew ms | take ms record by right_ms | settle ms record by verdict ('': none worth keeping)
--       | follow 0
-- Answers 1 if it was done, 0 if not.
local call, key = redis.call, KEYS[1]
local deed, ms, record, by = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local found = call('HMGET', key, 'r', 'b', 'u', 'v')
if deed == 'follow' then
  if not found[4] then return 0 end
  call('HSET', key, 'g', 1)
  return 1
end
if found[4] then return 0 end
if deed == 'renew' then
  if not found[1] then return 0 end
  return call('PEXPIRE', key, ms)
end
if by then
  local time = call('TIME')
  local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
  if found[2] and found[2] ~= by and now_ms < tonumber(found[3]) then return 0 end
  if deed == 'take' then call('HSET', key, 'b', by, 'u', now_ms + ARGV[5]) end
end
if deed == 'settle' then
  if ARGV[5] == '' then return call('DEL', key) end
  call('HSET', key, 'v', ARGV[5])
end
call('HSET', key, 'r', record)
call('PEXPIRE', key, ms)
return 1
