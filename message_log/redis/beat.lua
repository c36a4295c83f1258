-- Shows that an instance is there, and finds the others.
--
-- KEYS   instances
-- ARGV   the instance's id; for how many milliseconds it is there; what the others are to know of it
-- Answer what the others have said of themselves

local instances = KEYS[1]
local now = clock('')
redis.call('HSET', instances, ARGV[1], text(now + ARGV[2]) .. ' ' .. ARGV[3])
redis.call('PEXPIRE', instances, 60000)
local others = {}
local all = redis.call('HGETALL', instances)
for index = 1, #all, 2 do
  local ends, said = string.match(all[index + 1], '^(%d+) (.*)$')
  if tonumber(ends) <= now then
    redis.call('HDEL', instances, all[index])
  elseif all[index] ~= ARGV[1] then
    others[#others + 1] = said
  end
end
return others
