--[[
Gives a partition up, if it is still the caller's.

KEYS    lease
ARGV    token
Replies 1 released, 0 it was somebody else's
--]]
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
