#!lua flags=no-writes
-- Where streams of one partition stand; a stream is in one of two places, so both are looked at in one call.
-- KEYS  for each stream: stream (hash), quiet (hash)
-- ARGV  for each stream: packed stream id
-- Answers a version for each
local answer = {}
for place, id in ipairs(ARGV) do
  local version = redis.call('HGET', KEYS[2 * place - 1], 'v')
  if not version then
    version = string.match(redis.call('HGET', KEYS[2 * place], id) or '0', '^%d+')
  end
  answer[place] = tonumber(version)
end
return answer
