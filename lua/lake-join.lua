--[[
Puts archiving in force for a partition: from now on an entry is deleted once the workers' group and the archive's have both
acknowledged it. The archive's group is made at 0: what is on the stream then is not applied yet, or is kept for it.

KEYS    stream, state, kept, ahead
ARGV    group of the archive
Replies 1 archiving was in force, and the group was missing; 0 otherwise
--]]
local STREAM, STATE, KEPT, AHEAD = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local group = ARGV[1]

local inForce = redis.call('HEXISTS', STATE, 'archiving') == 1
-- A group that somebody else made could stand anywhere.
if not inForce and redis.call('EXISTS', STREAM) == 1 then redis.call('XGROUP', 'DESTROY', STREAM, group) end
local made = redis.pcall('XGROUP', 'CREATE', STREAM, group, '0', 'MKSTREAM')
if made.err then
  if not string.find(made.err, '^BUSYGROUP') then return made end
  return 0
end
-- Whoever took the group may have taken entries, too.
for _, set in ipairs({ KEPT, AHEAD }) do
  for _, id in ipairs(redis.call('SMEMBERS', set)) do
    if #redis.call('XRANGE', STREAM, id, id) == 0 then redis.call('SREM', set, id) end
  end
end
redis.call('HSET', STATE, 'archiving', '1')
return inForce and 1 or 0
