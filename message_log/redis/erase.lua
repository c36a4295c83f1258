-- Writes a part of a room's log anew, under another name, and puts it in the log's place when it is
-- whole: a stream keeps the text of an entry that was deleted, in memory and in Redis' files. Any
-- number of instances may do so at a time: each goes on where the copy ends. A removal makes it begin
-- again.
--
-- KEYS   a room's log, copy, room
-- Answer whether that was all

local STEP = 250

local log, copy, room = KEYS[1], KEYS[2], KEYS[3]
if redis.call('HEXISTS', room, 'erase') == 0 then return 1 end
local last = last_of(copy)
local entries = redis.call('XRANGE', log, last and '(' .. last[1] or '-', '+', 'COUNT', STEP)
for _, entry in ipairs(entries) do redis.call('XADD', copy, entry[1], unpack(entry[2])) end
if #entries == STEP then return 0 end
local first = first_of(log)
if first then
  redis.call('XTRIM', copy, 'MINID', first[1])
  redis.call('RENAME', copy, log)
  local meta = redis.call('HMGET', room, 'deleted', 'state')
  if meta[1] and not meta[2] then expire(log) end
else
  redis.call('UNLINK', copy)
end
redis.call('HDEL', room, 'erase')
return 1
