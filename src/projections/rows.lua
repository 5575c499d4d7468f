#!lua flags=no-writes
-- Rows of one table, of one moment and one generation.
-- KEYS  meta (hash), table (hash)      ARGV  generation that the table is of, each id
-- Answers {live generation} where it is another, else {live generation, row or nil...}
local live = redis.call('HGET', KEYS[1], 'generation') or '1'
if live ~= ARGV[1] or #ARGV == 1 then return {live} end
local answer = redis.call('HMGET', KEYS[2], unpack(ARGV, 2))
table.insert(answer, 1, live)
return answer
