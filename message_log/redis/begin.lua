-- Begins a chat, or finds the one that is there.
--
-- KEYS   the chat
-- ARGV   the version of the layout; random bytes; when it has begun, if an instance knows
-- Answer the version, the bytes and when it began

local _, now = clock(ARGV[3])
begin_chat(KEYS[1], ARGV[1], ARGV[2], text(now))
return redis.call('HMGET', KEYS[1], 'version', 'secret', 'born')
