-- Shows that an instance is there, and finds the others.
--
-- KEYS   instances, the chat
-- ARGV   the instance's id; for how many milliseconds it is there; what the others are to know of it;
--        what begin.lua takes
-- Answer the time, and what the others have said of themselves

local instances = KEYS[1]
local now = clock('')
begin_chat(KEYS[2], ARGV[4], ARGV[5], ARGV[6])
redis.call('HSET', instances, ARGV[1], text(now + ARGV[2]) .. ' ' .. ARGV[3])
redis.call('PEXPIRE', instances, 60000)
local answer = {text(now)}
local all = redis.call('HGETALL', instances)
for index = 1, #all, 2 do
  local ends, said = string.match(all[index + 1], '^(%d+) (.*)$')
  if tonumber(ends) <= now then
    redis.call('HDEL', instances, all[index])
  elseif all[index] ~= ARGV[1] then
    answer[#answer + 1] = said
  end
end
return answer
