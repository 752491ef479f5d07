--[[
Ends archiving for a partition, in slices: deletes entries that were kept for the archive, and with the last of them the
field that keeps more, the group and both sets. Until then archiving is in force, so that no entry is ever applied, on
the stream and not among the kept: a group of the workers that is made anew would count it twice.

KEYS    stream, state, kept, ahead
ARGV    group of the archive, entries to delete at most
Replies 1 archiving has ended, 0 there is more to delete
--]]
local STREAM, STATE, KEPT, AHEAD = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local group, most = ARGV[1], tonumber(ARGV[2])

local kept = redis.call('SPOP', KEPT, most)
if #kept > 0 then redis.call('XDEL', STREAM, unpack(kept)) end
if redis.call('EXISTS', KEPT) == 1 then return 0 end
if redis.call('EXISTS', STREAM) == 1 then redis.call('XGROUP', 'DESTROY', STREAM, group) end
redis.call('HDEL', STATE, 'archiving')
redis.call('DEL', AHEAD)
return 1
