--[[
Moves entries of a partition's late ledger or dead letters back onto its stream, each exactly once: an entry that is not
there any more was moved by somebody else. Those that belong to the archive, see lua/freeze.lua, are left alone. A late
event counts for the one counter it was late for, whatever the time.

KEYS    ledger or dead letters, stream, cold
ARGV    field of the archive's mark, then entry ids
Replies {entries moved, the archive's mark}
--]]
local LEDGER, STREAM, COLD = KEYS[1], KEYS[2], KEYS[3]
local field = ARGV[1]

local function parse(id)
  local ms, seq = string.match(id, '^(%d+)-(%d+)$')
  return tonumber(ms), tonumber(seq)
end

local mark = redis.call('HGET', COLD, field) or '0-0'
local markMs, markSeq = parse(mark)
local moved = 0
for i = 2, #ARGV do
  local id = ARGV[i]
  local ms, seq = parse(id)
  local archived = ms < markMs or (ms == markMs and seq <= markSeq)
  local found = not archived and redis.call('XRANGE', LEDGER, id, id)[1]
  if found then
    local fields = {}
    for f = 1, #found[2], 2 do fields[found[2][f]] = found[2][f + 1] end
    if fields.generation then
      redis.call('XADD', STREAM, '*', 'e', fields.payload, 'readmit', fields.generation)
    else
      redis.call('XADD', STREAM, '*', 'e', fields.payload)
    end
    redis.call('XDEL', LEDGER, id)
    moved = moved + 1
  end
end
return { moved, mark }
