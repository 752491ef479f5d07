--[[
Acknowledges entries whose events are in the lake: those that the workers have applied leave the stream, the others stay
for them. XACK is the fence: an entry for which it returns 0 was acknowledged before.

KEYS    stream, archive's lease, state, kept, ahead
ARGV    token, group of the archive, then entry ids
Replies "lost"  the caller no longer archives the partition
        "off"   archiving is not in force any more
        "ok"
--]]
local STREAM, LEASE, STATE, KEPT, AHEAD = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local token, group = ARGV[1], ARGV[2]

if redis.call('GET', LEASE) ~= token then return 'lost' end
if redis.call('HEXISTS', STATE, 'archiving') == 0 then return 'off' end
for i = 3, #ARGV do
  local id = ARGV[i]
  if redis.call('XACK', STREAM, group, id) == 1 then
    if redis.call('SREM', KEPT, id) == 1 then redis.call('XDEL', STREAM, id)
    else redis.call('SADD', AHEAD, id) end
  end
end
return 'ok'
