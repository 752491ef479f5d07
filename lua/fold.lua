--[[
Folds a slice of one bucket's owners: what its finer buckets hold of them becomes what the bucket holds.

It may run any number of times, beside itself and beside apply.lua, which has written the bucket with every event since
its fold began: whatever the cell holds is replaced by the sum of all finer cells, in which those events are as well. Once
the bucket is folded, it is left alone.

KEYS    cold, index and board where they are written, then for each owner the hash of its cell, the hashes of its finer
        cells, its sketch and sketches of finer buckets
ARGV    MessagePack {mark: field of the window's fold marks, start: of the bucket (ms), field: of its cells, sum: whether
        cells have sums, lists: fields of the finer cells by hash, index, board: their positions or 0, boardSize,
        owners: {key (false: the total, or the refused keys), position of the first of its keys, how many sketches}}
Replies nothing; does nothing when the bucket is folded, or its counter deleted
--]]
local COLD = KEYS[1]
local args = cmsgpack.unpack(ARGV[1])
local call, field = redis.call, args.field
local SUFFIXES = { '', 's', 'f', 'c' } -- see CELL_FIELDS in src/redis/keys.ts
local width = args.sum and #SUFFIXES or 1
local CARRY = '4611686018427387904' -- 2^62
local SHORT = 13 -- digits: so many numbers of this length as one bucket has finer ones add up exactly in a double

local folded = string.match(call('HGET', COLD, args.mark) or '', '^%d+')
if not folded or tonumber(folded) > args.start then return end

-- Field → which field of a cell it is. Hashes are read whole: a bucket that is counted while this runs must be in the sum,
-- whether or not the caller knew of it.
local columns = {}
for l, fields in ipairs(args.lists) do
  columns[l] = {}
  for f, name in ipairs(fields) do columns[l][name] = (f - 1) % width + 1 end
end

-- Adds an integer that may be large to a field, carrying 2^62 where that would overflow.
local function addLarge(hash, column, text)
  local name = field .. SUFFIXES[column]
  while true do
    local reply = redis.pcall('HINCRBY', hash, name, text)
    if type(reply) ~= 'table' then return end
    local isNegative = string.byte(text) == 45 -- '-'
    call('HINCRBY', hash, name, (isNegative and '' or '-') .. CARRY)
    call('HINCRBY', hash, field .. 'c', isNegative and -1 or 1)
  end
end

-- Puts the sum of integers into a field. Replies whether the field is new.
local function put(hash, column, texts)
  local sum, isShort = 0, true
  for _, text in ipairs(texts) do
    sum = sum + text
    if #text > SHORT then isShort = false end
  end
  local isNew = call('HSET', hash, field .. SUFFIXES[column], isShort and string.format('%d', sum) or '0') == 1
  if not isShort then
    for _, text in ipairs(texts) do addLarge(hash, column, text) end
  end
  return isNew, sum
end

local function gather(at)
  local found = {}
  for column = 1, width do found[column] = {} end
  for l = 1, #columns do
    local held = call('HGETALL', KEYS[at + l])
    for i = 1, #held, 2 do
      local column = columns[l][held[i]]
      if column then table.insert(found[column], held[i + 1]) end
    end
  end
  return found
end

-- A union counts nothing twice. One sketch alone is copied, which costs a tenth.
local function unite(sketch, from, to)
  if from > to or (from == to and call('COPY', KEYS[from], sketch) == 1) then return end
  if call('EXISTS', unpack(KEYS, from, to)) > 0 then call('PFMERGE', sketch, unpack(KEYS, from, to)) end
end

local floor, ranked, indexed = 0, {}, {}
if args.board > 0 and call('ZCARD', KEYS[args.board]) >= args.boardSize then
  floor = tonumber(call('ZRANGE', KEYS[args.board], 0, 0, 'WITHSCORES')[2])
end
for _, owner in ipairs(args.owners) do
  local key, at, sketches = unpack(owner)
  local hash, found = KEYS[at], gather(at)
  if #found[1] > 0 then
    -- Carries come first: adding sums may make more.
    for column = width, 2, -1 do
      if #found[column] > 0 then put(hash, column, found[column]) else call('HDEL', hash, field .. SUFFIXES[column]) end
    end
    local isNew, count = put(hash, 1, found[1])
    if key and isNew then indexed[#indexed + 1] = key end
    if key and count > floor then
      ranked[#ranked + 1] = count
      ranked[#ranked + 1] = key
    end
    if sketches > 0 then
      local first = at + #columns + 1
      unite(KEYS[first], first + 1, first + sketches - 1)
    end
  end
end
if args.index > 0 and #indexed > 0 then call('RPUSH', KEYS[args.index], unpack(indexed)) end
if args.board > 0 and #ranked > 0 then
  call('ZADD', KEYS[args.board], unpack(ranked))
  local extra = call('ZCARD', KEYS[args.board]) - args.boardSize
  if extra > 0 then call('ZREMRANGEBYRANK', KEYS[args.board], 0, extra - 1) end
end
