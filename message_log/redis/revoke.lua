-- Takes note of a session that has ended before its time; of too many, those go first that would have
-- ended first.
--
-- KEYS   revoked, changes
-- ARGV   the session's id; when it would have ended; the time, both in seconds; how many are remembered

local revoked, changes = KEYS[1], KEYS[2]
redis.call('ZREMRANGEBYSCORE', revoked, '-inf', ARGV[3])
redis.call('ZADD', revoked, ARGV[2], ARGV[1])
local excess = redis.call('ZCARD', revoked) - ARGV[4]
if excess > 0 then redis.call('ZPOPMIN', revoked, excess) end
redis.call('XADD', changes, 'MAXLEN', '~', 1000, '*', 'session', ARGV[1], 'until', ARGV[2])
