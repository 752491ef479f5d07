--[[
Gives a partition up, if it is still the caller's. Whoever can do that was not ended by an entry, so the note of
lua/take-over.lua goes as well.

KEYS    lease, state
ARGV    token
Replies 1 released, 0 it was somebody else's
--]]
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('HDEL', KEYS[2], 'suspect')
return redis.call('DEL', KEYS[1])
