-- Gives up some of the entries that have become too old.
--
-- KEYS   a room's log, keys, marks, removed, cleared, copy, room; rooms
-- ARGV   the room's name; what was written before these milliseconds is too old
-- Answer whether there are more; the oldest entry that is left, or ''

local STEP = 250

local log, keys, marks, removed, cleared, copy, room, rooms = unpack(KEYS)
local old = redis.call('XRANGE', log, '-', text(ARGV[2] - 1), 'COUNT', STEP)
local function answer()
  local first = first_of(log)
  return {#old == STEP and 1 or 0, first and first[1] or ''}
end
if #old == 0 then return answer() end
local meta = redis.call('HMGET', room, 'removals', 'state')
local removals = tonumber(meta[1] or '0')
local messages = {}
for _, entry in ipairs(old) do
  if is_removal(entry) then
    removals = removals - 1
  else
    messages[#messages + 1] = fields_of(entry)
  end
end
forget(keys, marks, messages)
local last = old[#old][1]
local length = redis.call('XLEN', log) - #old
redis.call('XTRIM', log, 'MAXLEN', length)
forget_gone(keys, marks, removed, select(2, parts(last)))
redis.call('HSET', room, 'removals', removals)
-- One that is there already is higher.
if length == 0 then
  redis.call('HSETNX', room, 'floor', last)
  redis.call('UNLINK', copy)
end
list_room(rooms, ARGV[1], length > removals, meta[2])
if length == 0 and not meta[2] then expire(log, room, keys, marks, removed, cleared) end
return answer()
