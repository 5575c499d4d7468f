#!lua flags=no-writes
-- Where events lie, by their version: those in the log, and the last one of each stream that left it.
-- KEYS  for each: stream (hash), history (list), quiet (hash)      ARGV  for each: packed stream id, version
-- Answers an entry id or '' for each.
local call = redis.call
local answer = {}
for i = 1, #KEYS / 3 do
  local stream, history, quiet = KEYS[3 * i - 2], KEYS[3 * i - 1], KEYS[3 * i]
  local wanted = tonumber(ARGV[2 * i])
  local found = call('HMGET', stream, 'v', 'a')
  local version, gone = found[1], found[2]
  if not version then
    local line = call('HGET', quiet, ARGV[2 * i - 1])
    if line then version, gone = string.match(line, '^(%d+) (.+)$') end
  end
  local trimmed = tonumber(version or 0) - call('LLEN', history)
  if wanted == trimmed then
    answer[i] = gone or ''
  elseif wanted > trimmed then
    answer[i] = call('LINDEX', history, wanted - trimmed - 1) or ''
  else
    answer[i] = ''
  end
end
return answer
