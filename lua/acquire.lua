--[[
Takes a partition if nobody owns it or the caller already does. A script, because a full Redis refuses a plain SET: what
waits could then never be applied once an owner had lost its lease, and Redis would stay full.

KEYS    lease
ARGV    token, lease time (ms)
Replies 1 it is the caller's, 0 it is somebody else's
--]]
local owner = redis.call('GET', KEYS[1])
if owner then return owner == ARGV[1] and 1 or 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
