#!lua flags=no-writes
-- One page of a stream's events, read in one call.
-- KEYS  stream (hash), history (list), log (stream), meta (hash)      ARGV  after version, page size
-- Answers {version, versions no longer in the list, epoch, then for each event: entry id, envelope or '', number}
local version = tonumber(redis.call('HGET', KEYS[1], 'v') or 0)
local trimmed = version - redis.call('LLEN', KEYS[2])
local from = tonumber(ARGV[1]) - trimmed
local answer = {version, trimmed, redis.call('HGET', KEYS[4], 'epoch') or ''}
if from < 0 then return answer end
for _, id in ipairs(redis.call('LRANGE', KEYS[2], from, from + tonumber(ARGV[2]) - 1)) do
  local entry = redis.call('XRANGE', KEYS[3], id, id)[1]
  local fields = entry and entry[2] or {}
  answer[#answer + 1] = id
  answer[#answer + 1] = fields[2] or ''
  answer[#answer + 1] = fields[4] or '0'
end
return answer
