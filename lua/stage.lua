--[[
Stages a new generation of a counter beside the one that lives: it is counted wherever a partition has its seam, see
lua/seam.lua, and nobody looks it up.

KEYS    counters (see lua/define.lua; "=staged:" and a name: generation, space, JSON)
ARGV    version the caller knows, name, generation that lives
Replies {"conflict"} or {"ok", new version, staged generation}
--]]
local COUNTERS = KEYS[1]
local known, name, live = tonumber(ARGV[1]), ARGV[2], ARGV[3]
local field = '=staged:' .. name

if tonumber(redis.call('HGET', COUNTERS, '=version') or '0') ~= known then return { 'conflict' } end
local text = redis.call('HGET', COUNTERS, name)
if not text or string.match(text, '^%d+') ~= live or redis.call('HEXISTS', COUNTERS, field) == 1 then
  return { 'conflict' }
end
local generation = redis.call('HINCRBY', COUNTERS, '=generation', 1)
redis.call('HSET', COUNTERS, field, generation .. string.sub(text, #live + 1))
return { 'ok', redis.call('HINCRBY', COUNTERS, '=version', 1), generation }
