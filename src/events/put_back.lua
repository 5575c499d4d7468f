#!lua flags=allow-oom
-- Gives entries back that were just handed out: each comes to lie at the end of its inbox, as if it had just arrived, so
-- that whoever waits is handed it at once. What is no longer in the consumer's hands stays where it is.
-- KEYS  inboxes (streams)
-- ARGV  group, consumer, then for each entry: the number of its inbox, entry id
-- Answers how many were given back.
local group, consumer, given = ARGV[1], ARGV[2], 0
for i = 3, #ARGV, 2 do
  local key, id = KEYS[tonumber(ARGV[i])], ARGV[i + 1]
  local entry = redis.call('XRANGE', key, id, id)[1]
  if entry and #redis.call('XPENDING', key, group, id, id, 1, consumer) == 1 then
    redis.call('XADD', key, '*', unpack(entry[2]))
    redis.call('XACK', key, group, id)
    redis.call('XDEL', key, id)
    given = given + 1
  end
end
return given
