-- What the scripts of a room share.

-- Numbers as text: Redis cuts those it is given to whole ones, and Lua rounds them to 14 digits.
local function text(number)
  return string.format('%.0f', number)
end

-- The milliseconds and the sequence number in an id.
local function parts(id)
  local ms, seq = string.match(id, '^(%d+)-(%d+)$')
  return tonumber(ms), tonumber(seq)
end

-- Redis' clock in milliseconds, and the one to go by: a test brings its own.
local function clock(given)
  local time = redis.call('TIME')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  return now, given ~= '' and tonumber(given) or now
end

-- Has the chat what all instances go by; if Redis has lost it, an instance that knows brings it back.
local function begin_chat(chat, version, secret, born)
  redis.call('HSETNX', chat, 'version', version)
  redis.call('HSETNX', chat, 'secret', secret)
  redis.call('HSETNX', chat, 'born', born)
end

local function first_of(log)
  return redis.call('XRANGE', log, '-', '+', 'COUNT', 1)[1]
end

local function last_of(log)
  return redis.call('XREVRANGE', log, '+', '-', 'COUNT', 1)[1]
end

-- An entry's id, and its fields by their names. Of a message: n(ickname), m(essage), b(y), k(ey),
-- a(ddress), o(f a moderator); of a removal: r(emoves).
local function fields_of(entry)
  local fields = {id = entry[1]}
  for index = 1, #entry[2], 2 do fields[entry[2][index]] = entry[2][index + 1] end
  return fields
end

local function is_removal(entry)
  return entry[2][1] == 'r'
end

-- How many between two sequence numbers have been removed.
local function count_removed(removed, after, before)
  return redis.call('ZCOUNT', removed, '(' .. text(after), '(' .. text(before))
end

-- How many are missing between two sequence numbers, of which `entry` has the second.
local function count_missing(removed, after, entry)
  local _, seq = parts(entry[1])
  if seq == after + 1 or (is_removal(entry) and entry[2][2] == 'all') then return 0 end
  return seq - after - 1 - count_removed(removed, after, seq)
end

-- Where a room's ids have come to: in its log, or beyond it if Redis has lost some.
local function end_of(log, born, floor)
  local last = last_of(log)
  local id = last and last[1] or born .. '-0'
  if not floor then return id end
  local _, seq = parts(id)
  local _, floor_seq = parts(floor)
  return floor_seq > seq and floor or id
end

-- Whether the room has given out an id: 'here' if it is sure, 'gone' if its entry is no longer there
-- and none contradicts it, else 'unknown'.
local function look_up(log, removed, born, last, id)
  local ms, seq = parts(id)
  if not ms then return 'unknown' end
  if seq == 0 then return ms == tonumber(born) and 'here' or 'unknown' end
  local _, last_seq = parts(last)
  if seq > last_seq then return 'unknown' end
  if redis.call('XRANGE', log, id, id)[1] then return 'here' end
  local gone = redis.call('ZRANGEBYSCORE', removed, seq, seq)[1]
  if gone then return string.match(gone, '^%S+') == id and 'here' or 'unknown' end
  local before = redis.call('XREVRANGE', log, id, '-', 'COUNT', 1)[1]
  if before and select(2, parts(before[1])) >= seq then return 'unknown' end
  local after = redis.call('XRANGE', log, id, '+', 'COUNT', 1)[1]
  if after and select(2, parts(after[1])) <= seq then return 'unknown' end
  return ms >= tonumber(born) and 'gone' or 'unknown'
end

-- What is kept of a message that has been removed: its id, mark and key.
local function to_gone(entry)
  local fields = fields_of(entry)
  return entry[1] .. ' ' .. (fields.b or '') .. ' ' .. (fields.k or '')
end

local function parts_of_gone(gone)
  local id, mark, key = string.match(gone, '^(%S+) (%S*) (.*)$')
  return id, mark ~= '' and mark, key ~= '' and key
end

-- Forgets the keys of messages that are not kept any more, and the addresses that no newer ones have.
local function forget(keys, marks, messages)
  local gone_keys, of_mark, of_message = {}, {}, {}
  for _, message in ipairs(messages) do
    if message.k then gone_keys[#gone_keys + 1] = message.k end
    if message.b then
      of_mark[#of_mark + 1] = message.b
      of_message[#of_message + 1] = message.id
    end
  end
  if #gone_keys > 0 then redis.call('HDEL', keys, unpack(gone_keys)) end
  if #of_mark == 0 then return end
  for index, last in ipairs(redis.call('HMGET', marks, unpack(of_mark))) do
    if last and string.match(last, '^%S+') == of_message[index] then
      redis.call('HDEL', marks, of_mark[index])
    end
  end
end

-- The same for the removed messages that are noted in `gone` and have a lower number.
local function forget_gone(keys, marks, gone, seq)
  local to = '(' .. text(seq)
  while true do
    local old = redis.call('ZRANGEBYSCORE', gone, '-inf', to, 'LIMIT', 0, 1000)
    if #old == 0 then return end
    local messages = {}
    for _, each in ipairs(old) do
      local id, mark, key = parts_of_gone(each)
      messages[#messages + 1] = {id = id, b = mark, k = key}
    end
    forget(keys, marks, messages)
    redis.call('ZREM', gone, unpack(old))
  end
end

-- Has the list of rooms say what a room has; the main room is always there.
local function list_room(rooms, name, has_messages, has_state)
  if name == '' then return end
  if has_messages or has_state then
    redis.call('ZADD', rooms, has_messages and 1 or 0, name)
  else
    redis.call('ZREM', rooms, name)
  end
end

-- Lets what is left of a room without messages and state go after a week: who comes with a cursor of it
-- then is not told how many messages were missed.
local function expire(...)
  for _, key in ipairs({...}) do redis.call('PEXPIRE', key, 604800000) end
end

local function persist(...)
  for _, key in ipairs({...}) do redis.call('PERSIST', key) end
end
