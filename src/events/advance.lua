#!lua
-- Adds a segment to the manifest and moves the mark behind it, if the mark is where the archiver saw it.
-- KEYS  meta (hash: archived, archived_at, digest), segments (zset: manifest lines by first number)
-- ARGV  archived and digest expected, first number, line, archived, archived_at, digest
-- Answers 1 (also when this very call took effect before) | 0
local call = redis.call
local found = call('HMGET', KEYS[1], 'archived', 'digest')
local archived, digest = found[1] or '0', found[2] or string.rep('0', 64)
if archived == ARGV[5] and digest == ARGV[7] then return 1 end
if archived ~= ARGV[1] or digest ~= ARGV[2] then return 0 end
call('ZADD', KEYS[2], ARGV[3], ARGV[4])
call('HSET', KEYS[1], 'archived', ARGV[5], 'archived_at', ARGV[6], 'digest', ARGV[7])
return 1
