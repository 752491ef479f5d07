--[[
Stores or deletes the definition of one counter, if nobody changed the definitions since the caller read them.

KEYS    counters (hash: "=version", "=generation", and one field a counter: generation, space, JSON),
        deleted (hash: generation → definition; what is stored of it is to be swept)
ARGV    version the caller knows, name, definition without its generation as JSON or "" to delete,
        generation to keep or "" for a new one
Replies {"conflict"} or {"ok", new version, generation}
--]]
local COUNTERS, DELETED = KEYS[1], KEYS[2]
local known, name, definition, generation = tonumber(ARGV[1]), ARGV[2], ARGV[3], ARGV[4]

if tonumber(redis.call('HGET', COUNTERS, '=version') or '0') ~= known then return { 'conflict' } end
if definition ~= '' and generation == '' then
  generation = tostring(redis.call('HINCRBY', COUNTERS, '=generation', 1))
end
if definition == '' then
  local text = redis.call('HGET', COUNTERS, name)
  redis.call('HSET', DELETED, generation, string.sub(text, #generation + 2))
  redis.call('HDEL', COUNTERS, name)
else
  redis.call('HSET', COUNTERS, name, generation .. ' ' .. definition)
end
return { 'ok', redis.call('HINCRBY', COUNTERS, '=version', 1), tonumber(generation) or 0 }
