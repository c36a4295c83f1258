-- Writes as a post does, and nothing that lasts.
--
-- KEYS   what is written to see whether that is possible

redis.call('XADD', KEYS[1], 'MAXLEN', 1, '*', 'probe', 1)
redis.call('PEXPIRE', KEYS[1], 10000)
