--[[
Moves entries of a partition's late ledger or dead letters back onto its stream, each exactly once: an entry that is not
there any more was moved by somebody else. A late event counts for the one counter it was late for, whatever the time.

KEYS    ledger or dead letters, stream
ARGV    entry ids
Replies entries moved
--]]
local LEDGER, STREAM = KEYS[1], KEYS[2]
local moved = 0
for _, id in ipairs(ARGV) do
  local found = redis.call('XRANGE', LEDGER, id, id)[1]
  if found then
    local fields = {}
    for i = 1, #found[2], 2 do fields[found[2][i]] = found[2][i + 1] end
    if fields.generation then
      redis.call('XADD', STREAM, '*', 'e', fields.payload, 'readmit', fields.generation)
    else
      redis.call('XADD', STREAM, '*', 'e', fields.payload)
    end
    redis.call('XDEL', LEDGER, id)
    moved = moved + 1
  end
end
return moved
