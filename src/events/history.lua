#!lua flags=no-writes
-- One page of a stream's events, read in one call.
-- KEYS  stream (hash), history (list), log (stream), meta (hash), quiet (hash)
-- ARGV  after version, page size, packed stream id
-- Answers {version, versions no longer in the list, epoch, entry id of the last of these or '',
--   then for each event: entry id, envelope or '', number}
local found = redis.call('HMGET', KEYS[1], 'v', 'a')
local version, gone = found[1], found[2]
if not version then
  local quiet = redis.call('HGET', KEYS[5], ARGV[3])
  if quiet then version, gone = string.match(quiet, '^(%d+) (.+)$') end
end
version = tonumber(version or 0)
local trimmed = version - redis.call('LLEN', KEYS[2])
local from = tonumber(ARGV[1]) - trimmed
local answer = {version, trimmed, redis.call('HGET', KEYS[4], 'epoch') or '', gone or ''}
if from < 0 then return answer end
for _, id in ipairs(redis.call('LRANGE', KEYS[2], from, from + tonumber(ARGV[2]) - 1)) do
  local entry = redis.call('XRANGE', KEYS[3], id, id)[1]
  local fields = entry and entry[2] or {}
  answer[#answer + 1] = id
  answer[#answer + 1] = fields[2] or ''
  answer[#answer + 1] = fields[4] or '0'
end
return answer
