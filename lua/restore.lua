--[[
Puts entries of a ledger's archive back onto the partition's stream, each exactly once: they are numbered in the order
in which they come, and the mark, which moves in the same script, says which have come.

KEYS    cold, stream
ARGV    field of the mark, then for each entry its number, the generation of the counter that it was late for or 0 for a
        dead letter, and its payload; numbers rise
Replies the mark: number of the last entry that has come
--]]
local COLD, STREAM = KEYS[1], KEYS[2]
local field = ARGV[1]

local mark = tonumber(redis.call('HGET', COLD, field) or '0')
for i = 2, #ARGV, 3 do
  local number, generation, payload = tonumber(ARGV[i]), ARGV[i + 1], ARGV[i + 2]
  if number > mark then
    if generation == '0' then redis.call('XADD', STREAM, '*', 'e', payload)
    else redis.call('XADD', STREAM, '*', 'e', payload, 'readmit', generation) end
    mark = number
  end
end
redis.call('HSET', COLD, field, string.format('%d', mark))
return mark
