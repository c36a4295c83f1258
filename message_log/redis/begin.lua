-- Begins a chat, or finds the one that is there.
--
-- KEYS   the chat
-- ARGV   the version of the layout; random bytes; a test's clock
-- Answer the version, the bytes and when it began

local _, now = clock(ARGV[3])
redis.call('HSETNX', KEYS[1], 'version', ARGV[1])
redis.call('HSETNX', KEYS[1], 'secret', ARGV[2])
redis.call('HSETNX', KEYS[1], 'born', text(now))
return redis.call('HMGET', KEYS[1], 'version', 'secret', 'born')
