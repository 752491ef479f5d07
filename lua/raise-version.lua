--[[
Makes a partition refuse batches planned under definitions older than `version`. Idempotent; never lowers it.

KEYS    state
ARGV    version
Replies the version now in force
--]]
local now = tonumber(redis.call('HGET', KEYS[1], 'version') or '0')
local version = math.max(now, tonumber(ARGV[1]))
redis.call('HSET', KEYS[1], 'version', string.format('%d', version))
return version
