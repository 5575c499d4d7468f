#!lua flags=no-writes
-- KEYS  inboxes (streams)
-- Answers how many entries lie in all of them.
local entries = 0
for _, key in ipairs(KEYS) do entries = entries + redis.call('XLEN', key) end
return entries
