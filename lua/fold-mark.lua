--[[
Moves the marks of one window's fold forward, never back: see FoldMarks in src/redis/commands/fold.ts. Marks that are not
there are not made: nothing was counted yet, or the counter was deleted.

Where folding had fallen behind and has caught up, buckets are left to it again from the newest one on: earlier ones are
whole, and of the newest its finer buckets are.

KEYS    cold, clocks
ARGV    field of the window, generation, width of the window, what is folded, up to where folding is under way (all ms)
Replies 1, or 0 when there are no marks
--]]
local COLD, CLOCKS = KEYS[1], KEYS[2]
local field, generation, width, done, under = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local EVER = 9007199254740991 -- see lua/apply.lua

local text = redis.call('HGET', COLD, field)
if not text then return 0 end
local folded, resumed, direct = string.match(text, '^(%d+) (%d+) (%d+)$')
folded, resumed, direct = math.max(done, tonumber(folded)), tonumber(resumed), tonumber(direct)
if direct < EVER then
  direct = math.max(folded, under, direct)
  resumed = direct
elseif folded >= resumed then
  local newest = tonumber(string.match(redis.call('HGET', CLOCKS, generation), '%d+$'))
  folded = math.max(folded, newest - newest % width)
  resumed, direct = folded, folded
end
redis.call('HSET', COLD, field, string.format('%d %d %d', folded, resumed, direct))
return 1
