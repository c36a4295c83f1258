-- Reads the first page of a range.
--
-- KEYS   a room's log, removed, room
-- ARGV   where the room begins if it is not there; what to read: since ID, since '' (all), latest COUNT,
--        before ID COUNT
-- Answer how many are missing (-1: the id is unknown), the cursor, the end, whether there are older
--        messages, and the entries

-- Pages end at multiples of this many entries, wherever they start, so that readers soon share them.
local PAGE_SIZE = 64
-- A page has no more bytes than this, unless its only entry has.
local PAGE_BYTES = 16384
-- Entries are looked through this many at a time.
local STEP = 100

local log, removed, room = KEYS[1], KEYS[2], KEYS[3]
local kind, id, count = ARGV[2], ARGV[3], tonumber(ARGV[4])
local meta = redis.call('HMGET', room, 'born', 'floor')
local born = meta[1] or ARGV[1]
local log_end = end_of(log, born, meta[2])

local function has_message_before(entry)
  local from = '-'
  while true do
    local older = redis.call('XRANGE', log, from, '(' .. entry[1], 'COUNT', STEP)
    for _, each in ipairs(older) do
      if not is_removal(each) then return true end
    end
    if #older < STEP then return false end
    from = '(' .. older[#older][1]
  end
end

local function size_of(entry)
  local size = 0
  for _, value in ipairs(entry[2]) do size = size + #value end
  return size
end

-- The entries from one on, up to the last one, as far as they go in one page without a gap.
local function answer(missed, entry, last, boundary)
  if not entry then
    return {missed, log_end, log_end, last_of(log) and has_message_before({'9999999999999999-0'}) and 1 or 0}
  end
  local page = {missed, '', last, has_message_before(entry) and 1 or 0}
  local size, seq = 0, nil
  for _, each in ipairs(redis.call('XRANGE', log, entry[1], last, 'COUNT', PAGE_SIZE)) do
    size = size + size_of(each)
    local _, next = parts(each[1])
    if seq and (next >= boundary or size > PAGE_BYTES or count_missing(removed, seq, each) > 0) then
      break
    end
    seq = next
    page[#page + 1] = each
    page[2] = each[1]
  end
  return page
end

-- Calls back with the entries before an id, the newest first, until it has enough.
local function walk_back(before, visit)
  local to = before
  while true do
    local older = redis.call('XREVRANGE', log, to, '-', 'COUNT', STEP)
    for _, each in ipairs(older) do
      if visit(each) then return end
    end
    if #older < STEP then return end
    to = '(' .. older[#older][1]
  end
end

if kind == 'since' then
  local entry = first_of(log)
  local missed = 0
  if id ~= '' then
    -- Most ask for what is next to an entry that is there.
    local found = redis.call('XRANGE', log, id, '+', 'COUNT', 2)
    local state = found[1] and found[1][1] == id and 'here'
      or look_up(log, removed, born, log_end, id)
    if state == 'unknown' then
      missed = -1
    else
      local _, seq = parts(id)
      entry = found[1] and found[1][1] == id and found[2] or found[1]
      if found[1] and found[1][1] == id and not found[2] then entry = nil end
      if entry then
        missed = count_missing(removed, seq, entry)
      else
        local _, end_seq = parts(log_end)
        missed = end_seq - seq - count_removed(removed, seq, end_seq + 1)
      end
    end
  end
  if not entry then return answer(missed) end
  local _, seq = parts(entry[1])
  local last = last_of(log)[1]
  local page = answer(missed, entry, last, seq - seq % PAGE_SIZE + PAGE_SIZE)
  page[3] = log_end
  return page
end

if kind == 'latest' then
  count = tonumber(id)
  local oldest
  if count > 0 then
    walk_back('+', function(entry)
      if is_removal(entry) then return false end
      oldest = entry
      count = count - 1
      return count == 0
    end)
  end
  if not oldest then return answer(0) end
  local last = last_of(log)[1]
  local page = answer(0, oldest, last, math.huge)
  page[3] = log_end
  return page
end

if look_up(log, removed, born, log_end, id) == 'unknown' then
  return {-1, id, id, 0}
end
local missed, oldest, newest = 0, nil, nil
local _, seq = parts(id)
local after = seq
walk_back('(' .. id, function(entry)
  local _, at = parts(entry[1])
  local missing = after - at - 1 - count_removed(removed, at, after)
  if missing > 0 and newest then return true end
  missed = missed + missing
  after = at
  if is_removal(entry) then return false end
  newest = newest or entry
  oldest = entry
  count = count - 1
  return count == 0
end)
if not oldest then return {missed, id, id, 0} end
return answer(missed, oldest, newest[1], math.huge)
