-- Does what waits for a room's log in one turn: appends posts, removes messages, changes the state.
--
-- KEYS   a room's log, keys, marks, removed, cleared, copy, room; rooms, changes, the chat
-- ARGV   1 how many messages are kept; 2 the highest id that the instance knows of; 3 where the room
--        begins if it is not there; 4 when it is too late, by Redis' clock; 5 a test's clock; 6 the
--        room's name; 7 how many rooms may have messages; 8 the version of the state that posts were
--        judged by; 9 the new state, if it changes; 10 how many entries there may be at most; then
--        each job:
--        post, refused   key, nickname, message, mark, address, moderator
--        remove          id
--        remove-by       mark, how many entries to look at, the last of all, the last looked at
--        clear
--        delete          nothing; the new state is the usual one
-- Answer the time; 'late', if nothing was done for that; 'stale', version, state if nothing was done
--        for that; else the last new id or '' and what became of each job:
--        post, refused   the new id; the entry of a repeat; 'refused', 'removed' or 'full'
--        remove, clear, delete   how many
--        remove-by       {how many, the last id looked at or '' if that was all}

-- Entries are looked through this many at a time.
local STEP = 250
-- No more entries than this are given up in one turn.
local TRIM_SIZE = 1000
-- Removals are kept for nothing, up to this number.
local FREE_REMOVALS = 10000
-- Of this many entries before the last clearing it is known that they were removed.
local MAX_CLEARED = 20000
-- Ids may be this much ahead of the clock so that no two rooms have the same; then they are.
local MAX_AHEAD_MS = 64

local log, keys, marks, removed, cleared, copy, room = unpack(KEYS, 1, 7)
local rooms, changes, chat = unpack(KEYS, 8, 10)
local keep, known, born, deadline = tonumber(ARGV[1]), ARGV[2], ARGV[3], tonumber(ARGV[4])
local name, max_rooms, version, new_state = ARGV[6], tonumber(ARGV[7]), ARGV[8], ARGV[9]
local max_entries = tonumber(ARGV[10])

local time, now = clock(ARGV[5])
if time > deadline then return {text(time), 'late'} end
local meta = redis.call('HMGET', room, 'version', 'born', 'floor', 'removals', 'state', 'deleted')
if (meta[1] or '0') ~= version then
  return {text(time), 'stale', meta[1] or '0', meta[5] or ''}
end
born = meta[2] or born
local length = redis.call('XLEN', log)
local removals = math.min(tonumber(meta[4] or '0'), length)
local has_state = meta[5]
local had_messages = length > removals
local is_deleted = meta[6]

-- Ids go on after the highest that anybody knows of.
local ms, seq = parts(end_of(log, born, meta[3]))
if meta[3] and length > 0 then ms = math.max(ms, (parts(last_of(log)[1]))) end
if known ~= '' then
  local known_ms, known_seq = parts(known)
  ms = math.max(ms, known_seq > seq and known_ms + 1 or known_ms)
  seq = math.max(seq, known_seq)
end
ms = math.max(ms, now)
local begin_seq = seq

-- No two rooms have the same ids: a millisecond is shared only where their numbers differ.
if max_entries > 0 then
  local claim = redis.call('HMGET', chat, 'claimed-ms', 'claims')
  local claimed_ms, claims = tonumber(claim[1] or '0'), claim[2] or ''
  if claimed_ms - ms > MAX_AHEAD_MS then claimed_ms = 0 end
  if claimed_ms >= ms then
    ms = claimed_ms
    for other, low, high in string.gmatch(claims, '(%S*) (%d+) (%d+)\n') do
      if other ~= name and tonumber(low) <= seq + max_entries and seq < tonumber(high) then
        ms = claimed_ms + 1
        claims = ''
        break
      end
    end
  else
    claims = ''
  end
  claims = claims .. name .. ' ' .. text(seq + 1) .. ' ' .. text(seq + max_entries) .. '\n'
  redis.call('HSET', chat, 'claimed-ms', text(ms), 'claims', claims)
end
local head = text(ms) .. '-'

local function append(...)
  seq = seq + 1
  length = length + 1
  local id = head .. text(seq)
  redis.call('XADD', log, id, ...)
  return id
end

local function append_removal(what)
  removals = removals + 1
  append('r', what)
end

-- What became of the first post with a key: its entry, 'removed', or nil.
local function find(key)
  local id = redis.call('HGET', keys, key)
  if not id then return nil end
  local entry = redis.call('XRANGE', log, id, id)[1]
  if entry then return entry end
  local _, at = parts(id)
  for _, gone in ipairs({removed, cleared}) do
    if redis.call('ZCOUNT', gone, at, at) > 0 then return 'removed' end
  end
end

local function post(kind, key, nickname, message, mark, address, moderator)
  local earlier = key ~= '' and find(key)
  if earlier then return earlier end
  if kind == 'refused' then return kind end
  if name ~= '' and length == removals and redis.call('ZCOUNT', rooms, 1, 1) >= max_rooms then
    return 'full'
  end
  local fields = {'n', nickname, 'm', message}
  local function add(field, value)
    if value == '' then return end
    fields[#fields + 1] = field
    fields[#fields + 1] = value
  end
  add('b', mark)
  add('k', key)
  add('a', address)
  add('o', moderator)
  local id = append(unpack(fields))
  if key ~= '' then redis.call('HSET', keys, key, id) end
  if mark ~= '' and address ~= '' then redis.call('HSET', marks, mark, id .. ' ' .. address) end
  return id
end

-- Makes the storage forget the text too: entries that were deleted stay in a stream's memory and files.
local function erase_later()
  redis.call('HSET', room, 'erase', 1)
  redis.call('UNLINK', copy)
end

local function remove(entry)
  if not entry or is_removal(entry) then return 0 end
  local _, at = parts(entry[1])
  append_removal(entry[1])
  redis.call('ZADD', removed, at, to_gone(entry))
  redis.call('XDEL', log, entry[1])
  length = length - 1
  erase_later()
  return 1
end

local function remove_by(mark, step, last, looked_at)
  local from = looked_at == '' and '-' or '(' .. looked_at
  local entries = redis.call('XRANGE', log, from, last, 'COUNT', step)
  local count = 0
  for _, entry in ipairs(entries) do
    if fields_of(entry).b == mark then count = count + remove(entry) end
  end
  return {count, #entries == tonumber(step) and entries[#entries][1] or ''}
end

-- Takes note of the messages that are there as cleared; of many, only of the last. Returns whether these
-- are all.
local function note_cleared()
  local to = '+'
  while true do
    local entries = redis.call('XREVRANGE', log, to, '-', 'COUNT', STEP)
    for _, entry in ipairs(entries) do
      local _, at = parts(entry[1])
      if at < seq - MAX_CLEARED then return false end
      if not is_removal(entry) then redis.call('ZADD', cleared, at, to_gone(entry)) end
    end
    if #entries < STEP then return true end
    to = '(' .. entries[STEP][1]
  end
end

-- Forgets the keys and addresses of all messages but those that are noted as cleared.
local function forget_others()
  local kept_keys, kept_marks = {}, {}
  for _, each in ipairs(redis.call('ZRANGE', cleared, 0, -1)) do
    local id, mark, key = parts_of_gone(each)
    if key then kept_keys[key] = id end
    if mark then kept_marks[mark] = redis.call('HGET', marks, mark) end
  end
  redis.call('UNLINK', keys, marks)
  for key, id in pairs(kept_keys) do redis.call('HSET', keys, key, id) end
  for mark, value in pairs(kept_marks) do
    if value then redis.call('HSET', marks, mark, value) end
  end
end

local function clear()
  local count = length - removals
  if count == 0 then return 0 end
  local are_all = note_cleared()
  redis.call('ZUNIONSTORE', cleared, 2, cleared, removed, 'AGGREGATE', 'MAX')
  redis.call('DEL', removed)
  if are_all then
    forget_gone(keys, marks, cleared, seq - MAX_CLEARED)
  else
    redis.call('ZREMRANGEBYSCORE', cleared, '-inf', '(' .. text(seq - MAX_CLEARED))
    forget_others()
  end
  append_removal('all')
  redis.call('XTRIM', log, 'MAXLEN', 1)
  length, removals = 1, 1
  erase_later()
  return count
end

-- Removes all there is of the room, and has nothing remembered but the place.
local function delete_room()
  if length == 0 and not meta[2] then return 0 end
  local count = length - removals
  redis.call('UNLINK', keys, marks, removed, cleared)
  append_removal('all')
  redis.call('XTRIM', log, 'MAXLEN', 1)
  length, removals = 1, 1
  erase_later()
  is_deleted = true
  return count
end

-- Gives up the oldest entries, until there are no more messages than are kept.
local function trim()
  local excess = length - math.min(removals, FREE_REMOVALS) - keep
  if excess <= 0 then return end
  excess = math.min(excess, TRIM_SIZE)
  local count, last, messages = 0, nil, {}
  while excess > 0 do
    local oldest = redis.call('XRANGE', log, last and '(' .. last or '-', '+', 'COUNT', excess)
    if #oldest == 0 then break end
    for _, entry in ipairs(oldest) do
      count = count + 1
      last = entry[1]
      if is_removal(entry) then
        removals = removals - 1
        if removals >= FREE_REMOVALS then excess = excess - 1 end
      else
        messages[#messages + 1] = fields_of(entry)
        excess = excess - 1
      end
    end
  end
  forget(keys, marks, messages)
  length = length - count
  redis.call('XTRIM', log, 'MAXLEN', length)
  forget_gone(keys, marks, removed, select(2, parts(last)))
end

local answer = {text(time), ''}
local index = 11
local function take(count)
  index = index + count
  return unpack(ARGV, index - count, index - 1)
end
while index <= #ARGV do
  local kind = take(1)
  local result
  if kind == 'post' or kind == 'refused' then
    result = post(kind, take(6))
  elseif kind == 'remove' then
    local id = take(1)
    result = remove(redis.call('XRANGE', log, id, id)[1])
  elseif kind == 'remove-by' then
    result = remove_by(take(4))
  elseif kind == 'delete' then
    result = delete_room()
  else
    result = clear()
  end
  answer[#answer + 1] = result
end
trim()

local has_messages = length > removals
if seq > begin_seq or new_state ~= '' then
  redis.call('HSET', room, 'born', born, 'removals', removals)
  if meta[3] and seq > begin_seq then redis.call('HDEL', room, 'floor') end
  if not had_messages then
    persist(log, room, keys, marks, removed, cleared)
    if has_messages then redis.call('HDEL', room, 'deleted') end
  end
end
if new_state ~= '' then
  version = text(tonumber(version) + 1)
  has_state = new_state ~= 'usual'
  redis.call('HSET', room, 'version', version)
  if has_state then
    redis.call('HSET', room, 'state', new_state)
  else
    redis.call('HDEL', room, 'state')
  end
  redis.call('XADD', changes, 'MAXLEN', '~', 1000, '*', 'room', name)
end
if has_messages ~= had_messages or new_state ~= '' or is_deleted then
  list_room(rooms, name, has_messages, has_state)
  if not has_messages and not has_state and (length == 0 or is_deleted) then
    if is_deleted then redis.call('HSET', room, 'deleted', 1) end
    expire(log, room, keys, marks, removed, cleared)
  end
end
if seq > begin_seq then answer[2] = head .. text(seq) end
return answer
