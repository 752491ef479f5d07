--[[
Applies a batch of stream entries to one partition: all of it, or nothing.

The batch was planned on what an earlier call had answered about its ids: it holds what is to be counted, with no
duplicate in it. Whether that is still so is checked first: `applied` stands where it stood, and every entry that is
counted is pending. That is the fence: an entry that somebody else has applied is pending no more. After the first write
nothing may fail, since Redis does not undo a script's earlier writes.

In the same breath it looks up the ids of batches that come next, and answers with positions, counted from 0 through all
fingerprints that are asked for, and with families in which nothing is remembered. Ids are remembered by applying alone, so
the answer holds as long as `applied` stands. A call without entries only looks.

KEYS[1..11] stream, lease, state, clocks, families, late, dead, cold, corrections, kept, ahead
KEYS[12..]  dedupe sets, cells, sketches, boards and indexes; the batch refers to them by position
ARGV[1]     lease token of the caller
ARGV[2]     batch, MessagePack; see src/redis/commands/apply.ts for its fields
ARGV[3]     what to look up, MessagePack {families: of which to tell whether they are empty, questions: a list of {keys:
            positions of the sets to look in, fingerprints}}

A batch with a field `rebuild` comes from the lake and counts for one staged generation (lua/stage.lua): its entries were
applied long ago, so there is no lease, no fence, no duplicate and nothing late. It counts once by its number.

Replies     {"lost"}                       the caller no longer owns the partition, or the generation is not staged
            {"stale", version}             the batch was planned under older definitions
            {"moved"}                      something was applied since it was planned; look and plan again
            {"ledger"}                     a bucket is closed that the batch took for open; plan again with its events
            {"fold"}                       a bucket is to be written to windows that the batch leaves to their fold, or not
                                           to windows that it writes; read the fold marks and plan again
            {"skip", entry ids …}          were applied already; plan again without them
            {"ok", applied, duplicates, late, dead, skipped entries,
             {entries applied by now, empty families, positions found …}}
--]]
local STREAM, LEASE, STATE, CLOCKS, FAMILIES, LATE, DEAD = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6], KEYS[7]
local COLD, CORRECTIONS, KEPT, AHEAD = KEYS[8], KEYS[9], KEYS[10], KEYS[11]
local token = ARGV[1]
local batch = cmsgpack.unpack(ARGV[2])
local call = redis.call
local UNPACK_MAX = 4000 -- unpack() fails near 8,000 values

local function int(n) return string.format('%d', n) end

-- The same, remembered. Redis prints a number that it is given as such with all 17 digits of a double, which takes as long
-- as the command that it is for.
local texts = {}
local function intOf(n)
  local text = texts[n]
  if not text then
    text = int(n)
    texts[n] = text
  end
  return text
end

-- Calls a variadic command with any number of arguments, in an even number at a time.
local function callMany(list, command, key, option)
  for from = 1, #list, UNPACK_MAX do
    local to = math.min(from + UNPACK_MAX - 1, #list)
    if option then call(command, key, option, unpack(list, from, to))
    else call(command, key, unpack(list, from, to)) end
  end
end

local function look()
  local asked, empty = cmsgpack.unpack(ARGV[3]), {}
  -- A family is noted as soon as it holds anything.
  for _, family in ipairs(asked.families) do
    if not call('ZSCORE', FAMILIES, family) then empty[#empty + 1] = family end
  end
  local answer, before = { call('HGET', STATE, 'applied') or '0', empty }, 0
  for _, question in ipairs(asked.questions) do
    local fingerprints = question.fingerprints
    for _, key in ipairs(question.keys) do
      for from = 1, #fingerprints, UNPACK_MAX do
        local to = math.min(from + UNPACK_MAX - 1, #fingerprints)
        local found = call('SMISMEMBER', KEYS[key], unpack(fingerprints, from, to))
        for i = 1, #found do
          if found[i] == 1 then answer[#answer + 1] = before + from + i - 2 end
        end
      end
    end
    before = before + #fingerprints
  end
  return answer
end

---------------------------------------------------------------------------------------------------- check
local rebuild = batch.rebuild
if not rebuild and call('GET', LEASE) ~= token then return { 'lost' } end
local state = call('HMGET', STATE, 'version', 'archiving', 'applied')
local version, archiving = tonumber(state[1] or '0'), state[2]
if batch.version < version then return { 'stale', version } end
local entries = batch.entries
if #entries == 0 then return { 'ok', 0, 0, 0, 0, 0, look() } end
if not rebuild and (state[3] or '0') ~= batch.applied then return { 'moved' } end

local counters, buckets, cells = batch.counters, batch.buckets, batch.cells
for _, counter in ipairs(counters) do
  local text = call('HGET', CLOCKS, counter.generation)
  if text then
    local clock, advanced, closed, oldest, newest = string.match(text, '^(%d+) (%d+) (%-?%d+) (%d+) (%d+)$')
    counter.clock, counter.advanced, counter.closed = tonumber(clock), tonumber(advanced), tonumber(closed)
    counter.oldest, counter.newest = tonumber(oldest), tonumber(newest)
  end
  -- A staged generation counts from its seam on.
  if counter.staged then counter.idle = call('HEXISTS', STATE, 'seam:' .. counter.generation) == 0 end
end
if rebuild then
  if counters[1].idle then return { 'lost' } end
  if tonumber(call('HGET', STATE, rebuild.field) or '0') >= rebuild.number then return { 'ok', 0, 0, 0, 0, 0, {} } end
end
for _, bucket in ipairs(buckets) do
  local counter = counters[bucket.counter]
  bucket.late = not rebuild and not bucket.corrected and not counter.idle and counter.closed ~= nil
    and bucket.last <= counter.closed
  if bucket.late and not bucket.ledger then return { 'ledger' } end
end

-- Windows that are folded are written only to buckets that begin before `direct`: see FoldMarks in
-- src/redis/commands/fold.ts. Where that begins at first matters to nobody: earlier buckets are whole in their cells,
-- later ones are read from the next finer window until they are folded. Where the clock runs away from folding, or leaps,
-- nothing more is left to it until it has caught up, so that lookups need not read too many finer buckets.
local EVER = 9007199254740991
local function directOf(counter, fold)
  local text = call('HGET', COLD, fold.field)
  local clock = math.max(counter.clock or 0, counter.reached.clock)
  local start = clock - clock % fold.ms
  local folded, resumed, direct = start, start, start
  if text then
    folded, resumed, direct = string.match(text, '^(%d+) (%d+) (%d+)$')
    folded, resumed, direct = tonumber(folded), tonumber(resumed), tonumber(direct)
    if direct == EVER or start - folded < batch.foldBehindMax * fold.ms then return direct end
    -- The first bucket behind all that was counted.
    local empty = counter.newest and counter.newest - counter.newest % fold.ms + fold.ms or 0
    if folded >= empty then folded, resumed, direct = start, start, start
    else resumed, direct = math.max(empty, direct), EVER end
  end
  call('HSET', COLD, fold.field, int(folded) .. ' ' .. int(resumed) .. ' ' .. int(direct))
  return direct
end

local isOutdated = false
for _, counter in ipairs(counters) do
  counter.direct = {}
  if not counter.idle then
    for f, fold in ipairs(counter.folds) do counter.direct[f] = directOf(counter, fold) end
  end
end
for _, bucket in ipairs(buckets) do
  local counter = counters[bucket.counter]
  if not bucket.late and not bucket.corrected and not counter.idle then
    for f, fold in ipairs(counter.folds) do
      local isLeft = tonumber(bucket.starts[fold.window]) >= counter.direct[f]
      if isLeft ~= bucket.left[f] then isOutdated = true end
    end
  end
end
if isOutdated then return { 'fold' } end

---------------------------------------------------------------------------------------------------- fence
-- A group that was deleted has nothing pending; made anew, it delivers its entries again.
local function isPending(id) return #redis.pcall('XPENDING', STREAM, batch.group, id, id, 1) > 0 end

local acknowledged, kept, lapsed, skipped = {}, {}, {}, 0
if not rebuild then
  for _, entry in ipairs(entries) do
    -- What is kept for the archive comes again when the group was made anew.
    local isKept = archiving and call('SISMEMBER', KEPT, entry.id) == 1
    if isKept then kept[#kept + 1] = entry.id end
    if entry.skip then skipped = skipped + 1
    elseif isKept or not isPending(entry.id) then lapsed[#lapsed + 1] = entry.id
    else acknowledged[#acknowledged + 1] = entry.id end
  end
  if #lapsed > 0 then return { 'skip', unpack(lapsed) } end
  callMany(kept, 'XACK', STREAM, batch.group)
  callMany(acknowledged, 'XACK', STREAM, batch.group)
end

---------------------------------------------------------------------------------------------------- keep apart
-- Late events and dead letters go to their ledgers.
local total = { applied = 0, duplicates = 0, late = 0, dead = 0 }
local ledger, isLate = {}, {}
for _, bucket in ipairs(buckets) do
  if bucket.late then
    for _, row in ipairs(bucket.ledger) do
      row.counter = counters[bucket.counter]
      ledger[#ledger + 1] = row
    end
  end
end
table.sort(ledger, function(a, b) return a.hit < b.hit end)
for _, row in ipairs(ledger) do
  call('XADD', LATE, '*', 'generation', row.counter.generation, 'watermark', int(row.counter.clock),
    'payload', row.payload)
  -- An event may be late for several counters, and is late once.
  if not isLate[row.event] then
    local entry = entries[row.entry]
    entry.applied, entry.late = entry.applied - 1, entry.late + 1
    isLate[row.event] = true
  end
end
for _, letter in ipairs(batch.dead) do
  call('XADD', DEAD, '*', 'entry', entries[letter.entry].id, 'reason', letter.reason, 'payload', letter.payload)
end
for _, entry in ipairs(entries) do
  if not entry.skip then
    for name, n in pairs(total) do total[name] = n + entry[name] end
    if entry.reply ~= '' then
      call('PUBLISH', entry.reply,
        table.concat({ entry.ticket, entry.applied, entry.duplicates, entry.late, entry.dead }, ' '))
    end
  end
end

---------------------------------------------------------------------------------------------------- remember
for _, insert in ipairs(batch.inserts) do
  callMany(insert.fingerprints, 'SADD', KEYS[insert.key])
  call('PEXPIRE', KEYS[insert.key], batch.fingerprintTtl)
end
for _, family in ipairs(batch.families) do call('ZADD', FAMILIES, 'GT', int(batch.arrival), family) end

---------------------------------------------------------------------------------------------------- count
-- Sum in whole units. The reply of HINCRBY is not needed; its one possible error is overflow, met by carrying 2^62.
local function addUnits(key, field, units)
  local reply = redis.pcall('HINCRBY', key, field .. 's', int(units))
  if type(reply) == 'table' and reply.err then
    local sign = units > 0 and '' or '-'
    call('HINCRBY', key, field .. 's', (units > 0 and '-' or '') .. '4611686018427387904')
    call('HINCRBY', key, field .. 'c', sign .. '1')
    call('HINCRBY', key, field .. 's', int(units))
  end
end

-- Adds to a cell, whose hash and sketch have these positions, in one window. Replies its new count.
local function addTo(hash, sketch, field, count, units, micros, members)
  local key = KEYS[hash]
  local reply = call('HINCRBY', key, field, intOf(count))
  if units ~= 0 then addUnits(key, field, units) end
  if micros ~= 0 then call('HINCRBY', key, field .. 'f', int(micros)) end
  if type(members) == 'string' then call('PFADD', KEYS[sketch], members)
  elseif members then
    if #members <= UNPACK_MAX then call('PFADD', KEYS[sketch], unpack(members))
    else callMany(members, 'PFADD', KEYS[sketch]) end
  end
  return reply
end

-- The windows in which a bucket is written: what their indexes and boards get. The board of a bucket holds its
-- BOARD_SIZE largest counts; `floor` is what a key must exceed to join.
local lists, boards = {}, {}
local function windowsOf(bucket)
  local windows = {}
  for w = 1, #bucket.fields do
    local list, board = w <= bucket.listed and bucket.lists + w - 1, bucket.boards and bucket.boards + w - 1
    if list and not lists[list] then lists[list] = {} end
    if board and not boards[board] then
      boards[board] = { floor = 0, args = {} }
      if call('ZCARD', KEYS[board]) >= batch.boardSize then
        boards[board].floor = tonumber(call('ZRANGE', KEYS[board], 0, 0, 'WITHSCORES')[2])
      end
    end
    windows[w] = { field = bucket.fields[w], list = list and lists[list], board = board and boards[board] }
  end
  return windows
end

-- The widest window's index has every key of the finest as soon as that has it, so that nobody waits for a fold.
local sorted = {}
local function sortedOf(bucket)
  local at = bucket.sorted
  if not sorted[at] then sorted[at] = {} end
  return sorted[at]
end

-- What is written beside closed buckets, for cold storage to add to them: see CorrectionRow in commands/corrections.ts.
local corrections = {}
local function correct(bucket, owner, count, units, micros, members)
  call('HSET', COLD, bucket.corrected, '1')
  corrections[#corrections + 1] = { counters[bucket.counter].generation, int(bucket.start), owner, int(count),
    int(units), int(micros), type(members) == 'string' and { members } or members or {} }
end

for _, bucket in ipairs(buckets) do
  -- What an idle generation would count comes from the lake.
  if not bucket.late and not counters[bucket.counter].idle then
    local windows, count, units, micros, members = #bucket.fields, bucket.count, bucket.units, bucket.micros, bucket.members
    for w = 0, windows - 1 do
      local at = bucket.total + w
      if addTo(at, at + windows, bucket.fields[w + 1], count, units, micros, members) == count and w == 0 then
        for s, start in ipairs(bucket.starts) do call('ZADD', KEYS[bucket.startsAt + s - 1], start, start) end
      end
    end
    if bucket.corrected then correct(bucket, 't', count, units, micros, members) end
    if bucket.sorted > 0 then bucket.windows, bucket.sortedArgs = windowsOf(bucket), sortedOf(bucket) end
  end
end
for c = 1, #cells, 7 do
  local position, first, key, count, units, micros, members = unpack(cells, c, c + 6)
  local bucket = buckets[position]
  local windows = bucket.windows
  if windows then
    local width = #windows
    for w = 1, width do
      local window, at = windows[w], first + w - 1
      local reply = addTo(at, at + width, window.field, count, units, micros, members)
      if key then
        local list, board = window.list, window.board
        if reply == count then
          if list then list[#list + 1] = key end
          if w == 1 then
            local args = bucket.sortedArgs
            local n = #args
            args[n + 1], args[n + 2] = 0, key
          end
        end
        if board and reply > board.floor then
          local args = board.args
          local n = #args
          args[n + 1], args[n + 2] = reply, key
        end
      end
    end
    if bucket.corrected then correct(bucket, key and 'k' .. key or 'o', count, units, micros, members) end
  end
end
if #corrections > 0 then
  local number = call('HINCRBY', COLD, 'correction', 1)
  call('XADD', CORRECTIONS, '*', 'number', number, 'rows', cmsgpack.pack(corrections))
end
for at, list in pairs(lists) do callMany(list, 'RPUSH', KEYS[at]) end
for at, args in pairs(sorted) do callMany(args, 'ZADD', KEYS[at]) end
for at, board in pairs(boards) do
  if #board.args > 0 then
    -- GT: two finest buckets of one wider bucket each rank a key, and the later, larger count must stay.
    callMany(board.args, 'ZADD', KEYS[at], 'GT')
    local extra = call('ZCARD', KEYS[at]) - batch.boardSize
    if extra > 0 then call('ZREMRANGEBYRANK', KEYS[at], 0, extra - 1) end
  end
end

---------------------------------------------------------------------------------------------------- clocks
for _, counter in ipairs(counters) do
  local reached = counter.reached
  if not counter.idle then
    if not counter.clock or reached.clock > counter.clock then
      counter.clock, counter.advanced = reached.clock, reached.arrival
    end
    local closed = counter.clock - counter.lateness
    if not counter.closed or closed > counter.closed then counter.closed = closed end
    call('HSET', CLOCKS, counter.generation, string.format('%d %d %d %d %d', counter.clock, counter.advanced,
      counter.closed, math.min(reached.oldest, counter.oldest or reached.oldest),
      math.max(reached.newest, counter.newest or reached.newest)))
  end
end

call('HSET', STATE, 'version', int(batch.version))
if rebuild then
  call('HSET', STATE, rebuild.field, rebuild.number)
  return { 'ok', total.applied, 0, 0, 0, 0, {} }
end
call('HINCRBY', STATE, 'applied', #acknowledged)
call('HINCRBY', STATE, 'events', total.applied + total.duplicates + total.late + total.dead)
if archiving then
  local archived, waiting = {}, {}
  for _, id in ipairs(acknowledged) do
    local list = call('SREM', AHEAD, id) == 1 and archived or waiting
    list[#list + 1] = id
  end
  callMany(waiting, 'SADD', KEPT)
  acknowledged = archived
end
callMany(acknowledged, 'XDEL', STREAM)
return { 'ok', total.applied, total.duplicates, total.late, total.dead, skipped, look() }
