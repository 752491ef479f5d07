--[[
Deletes a slice of one bucket's cells, or what is left of the bucket once its index is empty. Who asks has made sure
that nobody reads the bucket any more. The index loses the slice in the same breath, so that a bucket that is half
deleted when its process dies is found again; a slice that somebody else has deleted meanwhile is left alone.

KEYS    index, starts, board, then hashes of the slice's cells (at the end: of the total and of the refused keys),
        then as many sketches, or none
ARGV    start of the bucket (ms), "list" or "sorted" index, how many keys the slice has (0: the end), the first of
        them, then the fields of the bucket in its hashes
Replies 1, or 0 when the index does not begin with the slice
--]]
local INDEX, STARTS, BOARD = KEYS[1], KEYS[2], KEYS[3]
local start, sorted, size, first = ARGV[1], ARGV[2] == 'sorted', tonumber(ARGV[3]), ARGV[4]
local FIXED_KEYS, FIXED_ARGS = 3, 4
local hashes = size > 0 and size or 2

if size > 0 then
  local head = sorted and redis.call('ZRANGE', INDEX, 0, 0)[1] or redis.call('LRANGE', INDEX, 0, 0)[1]
  if head ~= first then return 0 end
elseif redis.call('EXISTS', INDEX) == 1 then
  return 0
end

for i = FIXED_KEYS + 1, FIXED_KEYS + hashes do redis.call('HDEL', KEYS[i], unpack(ARGV, FIXED_ARGS + 1)) end
if #KEYS > FIXED_KEYS + hashes then redis.call('UNLINK', unpack(KEYS, FIXED_KEYS + hashes + 1)) end
if size == 0 then
  redis.call('UNLINK', BOARD)
  redis.call('ZREM', STARTS, start)
elseif sorted then redis.call('ZREMRANGEBYRANK', INDEX, 0, size - 1)
else redis.call('LTRIM', INDEX, size, -1) end
return 1
