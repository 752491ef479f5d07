--[[
Applies a batch of stream entries to one partition: all of it, or nothing.

Everything is checked first. XACK is the fence: an entry for which it returns 0 was applied by somebody else and is
skipped. After the fence nothing may fail, since Redis does not undo a script's earlier writes.

KEYS[1..11] stream, lease, state, clocks, families, late, dead, cold, corrections, kept, ahead
KEYS[12..]  dedupe sets, cells, sketches, boards and indexes; the batch refers to them by position
ARGV[1]     lease token of the caller
ARGV[2]     batch, MessagePack; see src/stream/plan.ts for its fields

A batch with a field `rebuild` comes from the lake and counts for one staged generation (lua/stage.lua): its entries were
applied long ago, so there is no lease, no fence, no duplicate and nothing late. It counts once by its number.

Replies     {"lost"}                       the caller no longer owns the partition, or the generation is not staged
            {"stale", version}             the batch was planned under older definitions
            {"ledger"}                     a bucket is closed that the batch took for open; plan again with its events
            {"ok", applied, duplicates, late, dead, skipped entries}
--]]
local STREAM, LEASE, STATE, CLOCKS, FAMILIES, LATE, DEAD = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6], KEYS[7]
local COLD, CORRECTIONS, KEPT, AHEAD = KEYS[8], KEYS[9], KEYS[10], KEYS[11]
local token = ARGV[1]
local batch = cmsgpack.unpack(ARGV[2])
local UNPACK_MAX = 4000 -- unpack() fails near 8,000 values

local function int(n) return string.format('%d', n) end

-- Calls a variadic command with any number of arguments, in an even number at a time.
local function callMany(list, command, key, option)
  for from = 1, #list, UNPACK_MAX do
    local to = math.min(from + UNPACK_MAX - 1, #list)
    if option then redis.call(command, key, option, unpack(list, from, to))
    else redis.call(command, key, unpack(list, from, to)) end
  end
end

---------------------------------------------------------------------------------------------------- check
local rebuild = batch.rebuild
if not rebuild and redis.call('GET', LEASE) ~= token then return { 'lost' } end
local state = redis.call('HMGET', STATE, 'version', 'archiving')
local version, archiving = tonumber(state[1] or '0'), state[2]
if batch.version < version then return { 'stale', version } end

local counters, buckets, cells = batch.counters, batch.buckets, batch.cells
for _, counter in ipairs(counters) do
  local text = redis.call('HGET', CLOCKS, counter.generation)
  if text then
    local clock, advanced, closed, oldest, newest = string.match(text, '^(%d+) (%d+) (%-?%d+) (%d+) (%d+)$')
    counter.clock, counter.advanced, counter.closed = tonumber(clock), tonumber(advanced), tonumber(closed)
    counter.oldest, counter.newest = tonumber(oldest), tonumber(newest)
  end
  -- A staged generation counts from its seam on.
  if counter.staged then counter.idle = redis.call('HEXISTS', STATE, 'seam:' .. counter.generation) == 0 end
end
if rebuild then
  if counters[1].idle then return { 'lost' } end
  if tonumber(redis.call('HGET', STATE, rebuild.field) or '0') >= rebuild.number then return { 'ok', 0, 0, 0, 0, 0 } end
end
for _, bucket in ipairs(buckets) do
  local closed = counters[bucket.counter].closed
  bucket.late = not rebuild and not bucket.corrected and closed ~= nil and bucket.last <= closed
  if bucket.late and not bucket.ledger then return { 'ledger' } end
end

---------------------------------------------------------------------------------------------------- fence
local entries = batch.entries
local acknowledged, skipped = {}, 0
for _, entry in ipairs(entries) do
  entry.mine = rebuild ~= nil or redis.call('XACK', STREAM, batch.group, entry.id) == 1
  -- What is kept for the archive comes again when the group was made anew.
  if not rebuild and archiving and redis.call('SISMEMBER', KEPT, entry.id) == 1 then entry.mine = false end
  if entry.mine then acknowledged[#acknowledged + 1] = entry.id else skipped = skipped + 1 end
end

---------------------------------------------------------------------------------------------------- dedupe
-- 1. Look every fingerprint up. 2. Go through the events in stream order. 3. Insert what was new.
local fingerprints, slots, slotOf = batch.fingerprints, batch.slots, batch.slotOf
local known = {}
do
  local event = 0
  for _, entry in ipairs(entries) do
    for _ = 1, entry.events do
      event = event + 1
      local slot = slots[slotOf[event]]
      if entry.mine and slot and not entry.readmit then
        slot.look = slot.look or {}
        slot.look[#slot.look + 1] = fingerprints[event]
      end
    end
  end
  for _, slot in ipairs(slots) do
    local look = slot.look
    if look then
      for _, key in ipairs(slot.keys) do
        for from = 1, #look, UNPACK_MAX do
          local found = redis.call('SMISMEMBER', KEYS[key], unpack(look, from, math.min(from + UNPACK_MAX - 1, #look)))
          for i, yes in ipairs(found) do
            if yes == 1 then known[look[from + i - 1]] = true end
          end
        end
      end
    end
  end
end

---------------------------------------------------------------------------------------------------- count
local hits, hitCell, hitMicro, hitMember = batch.hits, batch.hitCell, batch.hitMicro, batch.hitMember
local times, deadText = batch.times, batch.dead
local total = { applied = 0, duplicates = 0, late = 0, dead = 0 }

-- Adds one event to the numbers gathered for a cell or for the total of a bucket.
local function gather(sums, micro, member)
  sums.count = (sums.count or 0) + 1
  if micro ~= 0 then
    -- Whole units and millionths apart: 2,000 values of 9e15 micro-units would leave a double's exact range.
    local units = math.floor(micro / 1000000)
    sums.units = (sums.units or 0) + units
    sums.micros = (sums.micros or 0) + (micro - units * 1000000)
  end
  if member then
    sums.members = sums.members or {}
    sums.members[#sums.members + 1] = member
  end
end

local function advance(counter, time, arrival)
  local clock = math.min(time, arrival)
  if not counter.clock or clock > counter.clock then
    counter.clock, counter.advanced, counter.moved = clock, arrival, true
  end
  if not counter.oldest or time < counter.oldest then counter.oldest, counter.moved = time, true end
  if not counter.newest or time > counter.newest then counter.newest, counter.moved = time, true end
end

-- Counts one new event everywhere it matches; true if it was late for at least one counter.
local function count(event, hit, arrival)
  local wasLate = false
  for h = hit, hit + hits[event] - 1 do
    local cell = cells[hitCell[h]]
    local bucket = buckets[cell.bucket]
    local counter = counters[bucket.counter]
    if counter.idle then
      -- Its events come from the lake.
    elseif bucket.late then
      wasLate = true
      redis.call('XADD', LATE, '*', 'generation', counter.generation, 'watermark', int(counter.clock),
        'payload', batch.ledger[event])
    else
      local micro, member = hitMicro[h], hitMember[h]
      gather(bucket, micro, member)
      if cell.key then gather(cell, micro, member) end
    end
    if not counter.idle then advance(counter, times[event], arrival) end
  end
  return wasLate
end

do
  local event, hit = 0, 1
  for _, entry in ipairs(entries) do
    local outcome = { applied = 0, duplicates = 0, late = 0, dead = 0 }
    for _ = 1, entry.events do
      event = event + 1
      if entry.mine then
        local fingerprint = fingerprints[event]
        local slot = slots[slotOf[event]]
        if not slot then
          outcome.dead = outcome.dead + 1
          local reason = deadText[event]
          redis.call('XADD', DEAD, '*', 'entry', entry.id, 'reason', reason[1], 'payload', reason[2])
        elseif entry.readmit then
          count(event, hit, entry.arrival)
          outcome.applied = outcome.applied + 1
        elseif known[fingerprint] then
          outcome.duplicates = outcome.duplicates + 1
        else
          known[fingerprint] = true
          slot.insert = slot.insert or {}
          slot.insert[#slot.insert + 1] = fingerprint
          if count(event, hit, entry.arrival) then outcome.late = outcome.late + 1
          else outcome.applied = outcome.applied + 1 end
        end
      end
      hit = hit + hits[event]
    end
    if entry.mine then
      for name, n in pairs(outcome) do total[name] = total[name] + n end
      if entry.reply ~= '' then
        redis.call('PUBLISH', entry.reply, table.concat(
          { entry.ticket, outcome.applied, outcome.duplicates, outcome.late, outcome.dead }, ' '))
      end
    end
  end
end

do
  local touched = {}
  for _, slot in ipairs(slots) do
    if slot.insert then
      callMany(slot.insert, 'SADD', KEYS[slot.keys[1]])
      redis.call('PEXPIRE', KEYS[slot.keys[1]], batch.fingerprintTtl)
      touched[slot.family] = true
    end
  end
  for family in pairs(touched) do redis.call('ZADD', FAMILIES, 'GT', int(batch.arrival), family) end
end

---------------------------------------------------------------------------------------------------- write
local boards, indexes = {}, {}

-- Sum in whole units. The reply of HINCRBY is not needed; its one possible error is overflow, met by carrying 2^62.
local function addUnits(key, field, units)
  local reply = redis.pcall('HINCRBY', key, field .. 's', int(units))
  if type(reply) == 'table' and reply.err then
    local sign = units > 0 and '' or '-'
    redis.call('HINCRBY', key, field .. 's', (units > 0 and '-' or '') .. '4611686018427387904')
    redis.call('HINCRBY', key, field .. 'c', sign .. '1')
    redis.call('HINCRBY', key, field .. 's', int(units))
  end
end

-- The board of a bucket holds its BOARD_SIZE largest counts; `floor` is what a key must exceed to join.
local function boardOf(key)
  local board = boards[key]
  if not board then
    board = { floor = 0, args = {} }
    boards[key] = board
    if redis.call('ZCARD', KEYS[key]) >= batch.boardSize then
      board.floor = tonumber(redis.call('ZRANGE', KEYS[key], 0, 0, 'WITHSCORES')[2])
    end
  end
  return board
end

local function rank(bucket, w, key, reply, isNew)
  if isNew then
    local at = bucket.indexes + w
    local list = indexes[at]
    if not list then
      list = { sorted = w == #bucket.fields - 1, args = {} }
      indexes[at] = list
    end
    if list.sorted then list.args[#list.args + 1] = 0 end
    list.args[#list.args + 1] = key
  end
  if bucket.boards then
    local board = boardOf(bucket.boards + w)
    if reply > board.floor then
      board.args[#board.args + 1] = reply
      board.args[#board.args + 1] = key
    end
  end
end

-- Adds gathered numbers to the cell of every window. `at` is the position in KEYS of its hashes, then its sketches.
local function write(sums, bucket, at, key)
  local windows = #bucket.fields
  for w = 0, windows - 1 do
    local hash, field = KEYS[at + w], bucket.fields[w + 1]
    local reply = redis.call('HINCRBY', hash, field, sums.count)
    if sums.units and sums.units ~= 0 then addUnits(hash, field, sums.units) end
    if sums.micros and sums.micros ~= 0 then redis.call('HINCRBY', hash, field .. 'f', int(sums.micros)) end
    if sums.members then callMany(sums.members, 'PFADD', KEYS[at + windows + w]) end
    if key == false and reply == sums.count then
      redis.call('ZADD', KEYS[bucket.startsAt + w], bucket.starts[w + 1], bucket.starts[w + 1])
    end
    if key and key ~= '' then rank(bucket, w, string.sub(key, 2), reply, reply == sums.count) end
  end
end

-- What is written beside closed buckets, for cold storage to add to them: see CorrectionRow in commands/corrections.ts.
local corrections = {}
local function correct(sums, bucket, owner)
  redis.call('HSET', COLD, bucket.corrected, '1')
  corrections[#corrections + 1] = { counters[bucket.counter].generation, int(bucket.start), owner, int(sums.count),
    int(sums.units or 0), int(sums.micros or 0), sums.members or {} }
end

for _, bucket in ipairs(buckets) do
  if bucket.count then
    write(bucket, bucket, bucket.total, false)
    if bucket.corrected then correct(bucket, bucket, 't') end
  end
end
for _, cell in ipairs(cells) do
  if cell.count then
    local bucket = buckets[cell.bucket]
    write(cell, bucket, cell.at, cell.key)
    if bucket.corrected and cell.key then correct(cell, bucket, cell.key == '' and 'o' or cell.key) end
  end
end
if #corrections > 0 then
  local number = redis.call('HINCRBY', COLD, 'correction', 1)
  redis.call('XADD', CORRECTIONS, '*', 'number', number, 'rows', cmsgpack.pack(corrections))
end
for at, list in pairs(indexes) do callMany(list.args, list.sorted and 'ZADD' or 'RPUSH', KEYS[at]) end
for at, board in pairs(boards) do
  if #board.args > 0 then
    -- GT: two finest buckets of one wider bucket each rank a key, and the later, larger count must stay.
    callMany(board.args, 'ZADD', KEYS[at], 'GT')
    local extra = redis.call('ZCARD', KEYS[at]) - batch.boardSize
    if extra > 0 then redis.call('ZREMRANGEBYRANK', KEYS[at], 0, extra - 1) end
  end
end

---------------------------------------------------------------------------------------------------- clocks
for _, counter in ipairs(counters) do
  if counter.moved then
    local closed = counter.clock - counter.lateness
    if not counter.closed or closed > counter.closed then counter.closed = closed end
    local text = string.format('%d %d %d %d %d',
      counter.clock, counter.advanced, counter.closed, counter.oldest, counter.newest)
    redis.call('HSET', CLOCKS, counter.generation, text)
  end
end

redis.call('HSET', STATE, 'version', int(batch.version))
if rebuild then
  redis.call('HSET', STATE, rebuild.field, rebuild.number)
  return { 'ok', total.applied, 0, 0, 0, 0 }
end
redis.call('HINCRBY', STATE, 'applied', #acknowledged)
redis.call('HINCRBY', STATE, 'events', total.applied + total.duplicates + total.late + total.dead)
if archiving then
  local archived, kept = {}, {}
  for _, id in ipairs(acknowledged) do
    local list = redis.call('SREM', AHEAD, id) == 1 and archived or kept
    list[#list + 1] = id
  end
  callMany(kept, 'SADD', KEPT)
  acknowledged = archived
end
callMany(acknowledged, 'XDEL', STREAM)
return { 'ok', total.applied, total.duplicates, total.late, total.dead, skipped }
