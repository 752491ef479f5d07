--[[
Moves the marks of one window's fold forward, never back: see FoldMark in src/redis/commands/fold.ts. A mark that is not
there is not made: nothing was counted yet, or the counter was deleted.

KEYS    cold
ARGV    field of the window, folded, direct (ms)
Replies 1, or 0 when there is no mark
--]]
local COLD, field, folded, direct = KEYS[1], ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])

local text = redis.call('HGET', COLD, field)
if not text then return 0 end
local wasFolded, wasDirect = string.match(text, '^(%d+) (%d+)$')
folded = math.max(folded, tonumber(wasFolded))
redis.call('HSET', COLD, field, string.format('%d %d', folded, math.max(folded, direct, tonumber(wasDirect))))
return 1
