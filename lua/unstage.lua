--[[
Ends the staging of a generation: it takes the place of the one that lives, whose definition it takes over, or is given up.
The other of the two is to be swept.

KEYS    counters, deleted (see lua/define.lua)
ARGV    name, staged generation, generation whose place it takes, "" to give it up
Replies {"conflict"} it is not staged, or another generation lives by now
        {"ok", new version}
--]]
local COUNTERS, DELETED = KEYS[1], KEYS[2]
local name, generation, live = ARGV[1], ARGV[2], ARGV[3]
local field = '=staged:' .. name

local staged = redis.call('HGET', COUNTERS, field)
if not staged or string.match(staged, '^%d+') ~= generation then return { 'conflict' } end
if live == '' then
  redis.call('HSET', DELETED, generation, string.sub(staged, #generation + 2))
else
  local text = redis.call('HGET', COUNTERS, name)
  if not text or string.match(text, '^%d+') ~= live then return { 'conflict' } end
  redis.call('HSET', DELETED, live, string.sub(text, #live + 2))
  redis.call('HSET', COUNTERS, name, generation .. string.sub(text, #live + 1))
end
redis.call('HDEL', COUNTERS, field)
return { 'ok', redis.call('HINCRBY', COUNTERS, '=version', 1) }
