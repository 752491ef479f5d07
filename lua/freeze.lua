--[[
Gives the oldest entries of a ledger to its archive in cold storage, by a mark that never moves back. From then on
lua/requeue.lua leaves them alone, so that what is being copied cannot go back onto the stream from here as well. Gives
none while earlier ones are still here.

KEYS    ledger, cold
ARGV    field of the mark, entries to keep, entries to give at most
Replies the mark: id of the newest entry that belongs to the archive, "0-0" when none does
--]]
local LEDGER, COLD = KEYS[1], KEYS[2]
local field, keep, most = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])

local mark = redis.call('HGET', COLD, field) or '0-0'
local surplus = math.min(most, redis.call('XLEN', LEDGER) - keep)
if surplus <= 0 or #redis.call('XRANGE', LEDGER, '-', mark, 'COUNT', 1) > 0 then return mark end
local oldest = redis.call('XRANGE', LEDGER, '-', '+', 'COUNT', surplus)
mark = oldest[#oldest][1]
redis.call('HSET', COLD, field, mark)
return mark
