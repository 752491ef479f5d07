--[[
Moves one mark of a counter's window forward, never back: how far its buckets were exported, have left Redis, or have
left cold storage. Buckets leave Redis only up to where they were exported, and not while a correction waits for its
export: whoever reads cold storage instead would miss it.

KEYS    cold, corrections
ARGV    field of the window, "exported", "hot" or "gone", the mark (ms)
Replies 1 when the mark is where the caller wants it or beyond, else 0
--]]
local COLD, CORRECTIONS = KEYS[1], KEYS[2]
local field, name, to = ARGV[1], ARGV[2], tonumber(ARGV[3])

local text = redis.call('HGET', COLD, field) or '0 0 0'
local exported, hot, gone = string.match(text, '^(%d+) (%d+) (%d+)$')
local marks = { exported = tonumber(exported), hot = tonumber(hot), gone = tonumber(gone) }
if marks[name] >= to then return 1 end
if name == 'hot' and (to > marks.exported or redis.call('XLEN', CORRECTIONS) > 0) then return 0 end
marks[name] = to
redis.call('HSET', COLD, field, string.format('%d %d %d', marks.exported, marks.hot, marks.gone))
return 1
