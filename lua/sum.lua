--[[
Adds up cells of several owners over the same buckets, in one layer of one partition, and reads the marks in the same
moment. Writes nothing.

A number in Redis may exceed what Lua's doubles hold exactly, so each sum comes in two parts, which the caller adds:
billions, and the rest, which need not be below a billion. Both stay exact for 900,000 cells.

KEYS    cold, then for each owner in turn the hashes of its cells, one for each list of fields
ARGV    JSON { cells: the lists of fields; width: fields that make up a cell; marks: fields of cold;
        wholeFrom: length of a list from which a hash is read whole }
Replies { the marks, for each owner in turn and each field of a cell: billions, the rest }
--]]
local COLD = KEYS[1]
local args = cjson.decode(ARGV[1])
local lists, width = args.cells, args.width

-- From `wholeFrom` fields on, a hash is read whole: each field of a HMGET is a search, and most that are absent were not
-- counted at all. Of such a list: field → which field of a cell it is.
local columns = {}
for l, fields in ipairs(lists) do
  if #fields >= args.wholeFrom then
    columns[l] = {}
    for f, field in ipairs(fields) do columns[l][field] = (f - 1) % width + 1 end
  end
end

local sums = {}

-- Adds to the sum whose two parts end at `to`.
local function add(to, text)
  -- Arithmetic takes the text for a number, and is faster than tonumber.
  if #text <= 10 then
    sums[to] = sums[to] + text
  else
    local sign = string.byte(text) == 45 and -1 or 1 -- '-'
    sums[to - 1] = sums[to - 1] + string.sub(text, 1, -10)
    sums[to] = sums[to] + sign * string.sub(text, -9)
  end
end

for first = 2, #KEYS, #lists do
  local at = #sums
  for i = at + 1, at + 2 * width do sums[i] = 0 end
  for l = 1, #lists do
    local key, column = KEYS[first + l - 1], columns[l]
    if column then
      local held = redis.call('HGETALL', key)
      for i = 1, #held, 2 do
        local field = column[held[i]]
        if field then add(at + 2 * field, held[i + 1]) end
      end
    else
      for v, text in ipairs(redis.call('HMGET', key, unpack(lists[l]))) do
        if text then add(at + 2 * ((v - 1) % width + 1), text) end
      end
    end
  end
end
return { redis.call('HMGET', COLD, unpack(args.marks)), sums }
