--[[
Drops sets of fingerprints of one dedupe family, if it is still out of use: its last insertion arrived before `bound`,
which is a horizon before the oldest entry that is not applied yet.

KEYS    lease, families, then the family's sets
ARGV    token, bound (ms), family, "last" when these are the last of its sets
Replies sets dropped, or -1 when the family is in use again or the partition somebody else's
--]]
local LEASE, FAMILIES = KEYS[1], KEYS[2]
local token, bound, family, last = ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[4] == 'last'

if redis.call('GET', LEASE) ~= token then return -1 end
local inserted = redis.call('ZSCORE', FAMILIES, family)
if inserted and tonumber(inserted) >= bound then return -1 end
local dropped = 0
for i = 3, #KEYS do dropped = dropped + redis.call('UNLINK', KEYS[i]) end
if last then redis.call('ZREM', FAMILIES, family) end
return dropped
