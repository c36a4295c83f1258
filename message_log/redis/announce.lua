-- Tells Redis how far an instance knows a room's log, and learns what Redis has of the room. That it can
-- be written shows that Redis is loaded, and no replica.
--
-- KEYS   a room's log, removed, room
-- ARGV   where the room begins if it is not there; the highest id that the instance knows of, or '';
--        the last id that it has emitted, or ''
-- Answer where the room begins, where its ids have come to, the version of its state, the state,
--        whether a text is to be erased, and whether that id is 'here'

local log, removed, room = KEYS[1], KEYS[2], KEYS[3]
local known, emitted = ARGV[2], ARGV[3]
local meta = redis.call('HMGET', room, 'born', 'version', 'state', 'floor', 'erase')
local born, floor = meta[1] or ARGV[1], meta[4]
local last = end_of(log, born, floor)
if known ~= '' and select(2, parts(known)) > select(2, parts(last)) then
  redis.call('HSET', room, 'born', born, 'floor', known)
  last = known
end
local found = emitted == '' and '' or look_up(log, removed, born, last, emitted)
return {born, last, meta[2] or '0', meta[3] or '', meta[5] and 1 or 0, found}
