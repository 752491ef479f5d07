--[[
Begins to count a staged generation in a partition, and notes where: entries before the seam are applied and count from the
lake, those behind it count as they are applied. The definitions that know the generation are in force in the partition
already, so from here on no batch is applied that was planned without it.

The seam is the field `seam:` and the generation of the partition's state: the id below which entries are applied, and
those among them that are pending and are not.

KEYS    stream, state, kept
ARGV    generation, group of the workers
Replies the seam; "" when the group is not there, or reads again what it has applied: try again
--]]
local STREAM, STATE, KEPT = KEYS[1], KEYS[2], KEYS[3]
local generation, group = ARGV[1], ARGV[2]
local field = 'seam:' .. generation

local seam = redis.call('HGET', STATE, field)
if seam then return seam end
if redis.call('EXISTS', STREAM) == 0 then return '' end

local function fieldsOf(list)
  local fields = {}
  for i = 1, #list, 2 do fields[list[i]] = list[i + 1] end
  return fields
end
local function parse(id)
  local ms, seq = string.match(id, '^(%d+)-(%d+)$')
  return tonumber(ms), tonumber(seq)
end

local last
for _, info in ipairs(redis.call('XINFO', 'GROUPS', STREAM)) do
  local fields = fieldsOf(info)
  if fields.name == group then last = fields['last-delivered-id'] end
end
if not last then return '' end
local lastMs, lastSeq = parse(last)
for _, id in ipairs(redis.call('SMEMBERS', KEPT)) do
  local ms, seq = parse(id)
  if ms > lastMs or (ms == lastMs and seq > lastSeq) then return '' end
end

local ids = {}
local next = redis.call('XRANGE', STREAM, '(' .. last, '+', 'COUNT', 1)[1]
if next then
  ids[1] = next[1]
else
  local ms, seq = parse(fieldsOf(redis.call('XINFO', 'STREAM', STREAM))['last-generated-id'])
  ids[1] = string.format('%d-%d', ms, seq + 1)
end
local pending = redis.call('XPENDING', STREAM, group)[1]
for _, entry in ipairs(redis.call('XPENDING', STREAM, group, '-', '+', math.max(1, pending))) do ids[#ids + 1] = entry[1] end
seam = table.concat(ids, ' ')
redis.call('HSET', STATE, field, seam)
return seam
