--[[
Takes a lease, or renews it, if nobody else holds it.

KEYS    lease
ARGV    token, lease time (ms), 0 to give it up
Replies 1 it is the caller's, 0 it is somebody else's
--]]
local owner = redis.call('GET', KEYS[1])
if owner and owner ~= ARGV[1] then return 0 end
if ARGV[2] == '0' then redis.call('DEL', KEYS[1]) else redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2]) end
return 1
