-- What some rooms have.
--
-- KEYS   the log and the room of each
-- Answer for each: how many messages, and the state

local answer = {}
for index = 1, #KEYS, 2 do
  local meta = redis.call('HMGET', KEYS[index + 1], 'removals', 'state')
  local messages = redis.call('XLEN', KEYS[index]) - tonumber(meta[1] or '0')
  answer[#answer + 1] = {messages, meta[2] or ''}
end
return answer
