--[[
Notes that a new owner begins with the same oldest pending entry as the owners before it: an entry whose application
ends its worker's process shows itself in nothing else. Redis's own count of deliveries does not help, since it also
rises with every reading again during an outage.

The note is the state's field `suspect`: entry id, owners in turn that began with it, token of the last. Once nothing is
pending there is none. An owner that begins again under the same token has not ended.

KEYS    stream, lease, state
ARGV    token, group
Replies {"lost"}
        {"ok", oldest pending entry or "", owners in turn that began with it}
--]]
local STREAM, LEASE, STATE = KEYS[1], KEYS[2], KEYS[3]
local token, group = ARGV[1], ARGV[2]

if redis.call('GET', LEASE) ~= token then return { 'lost' } end
local pending = redis.call('XPENDING', STREAM, group, '-', '+', 1)[1]
if not pending then
  redis.call('HDEL', STATE, 'suspect')
  return { 'ok', '', 0 }
end

local oldest, owners = pending[1], 1
local entry, noted, last = string.match(redis.call('HGET', STATE, 'suspect') or '', '^(%S+) (%d+) (.+)$')
if entry == oldest then owners = tonumber(noted) + (last == token and 0 or 1) end
redis.call('HSET', STATE, 'suspect', string.format('%s %d %s', oldest, owners, token))
return { 'ok', oldest, owners }
