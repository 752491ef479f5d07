--[[
Heartbeat of a partition's owner: renews the lease, moves the clocks of counters without events, keeps accounts.

A live clock (at most LIVE_LAG behind wall time when it last advanced) goes on at wall speed, but never past the arrival
of the oldest entry that still waits: what waits was sent before. A historic clock stands still, except that it rises
to `floor`, the smallest clock of the partitions that are busy, while this partition has nothing to do. A counter that
has no clock here yet gets one from `seed`, the smallest anywhere, when no partition is busy.

Entries that are applied and kept for the archive do not wait.

KEYS    stream, lease, state, clocks, kept
ARGV    token, lease time (ms),
        MessagePack {group, liveLag, counters: [{generation, lateness, floor or nil, seed or nil}]}
Replies {"lost"}
        {"ok", entries waiting, entries added − applied − waiting (0 unless some were lost)}
--]]
local STREAM, LEASE, STATE, CLOCKS, KEPT = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local token, leaseMs, ticking = ARGV[1], ARGV[2], cmsgpack.unpack(ARGV[3])

if redis.call('GET', LEASE) ~= token then return { 'lost' } end
redis.call('PEXPIRE', LEASE, leaseMs)

local time = redis.call('TIME')
local upTo = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local waiting, added = 0, 0
if redis.call('EXISTS', STREAM) == 1 then
  local info = redis.call('XINFO', 'STREAM', STREAM)
  for i = 1, #info, 2 do
    if info[i] == 'length' then waiting = info[i + 1] end
    if info[i] == 'entries-added' then added = info[i + 1] end
  end
end
local kept = redis.call('SCARD', KEPT)
waiting = waiting - kept

-- Where nothing is kept it is the first; else the oldest that is pending, or the first that nobody has read.
local function oldestWaiting()
  local from = '-'
  if kept > 0 then
    for _, info in ipairs(redis.call('XINFO', 'GROUPS', STREAM)) do
      if info[2] == ticking.group then
        local pending = redis.call('XPENDING', STREAM, ticking.group, '-', '+', 1)[1]
        if pending then return pending[1] end
        for i = 1, #info, 2 do
          if info[i] == 'last-delivered-id' then from = '(' .. info[i + 1] end
        end
      end
    end
  end
  local first = redis.call('XRANGE', STREAM, from, '+', 'COUNT', 1)[1]
  return first and first[1]
end

local oldest = waiting > 0 and oldestWaiting()
if oldest then
  upTo = math.min(upTo, tonumber(string.match(oldest, '^%d+')))
end

local applied = tonumber(redis.call('HGET', STATE, 'applied') or '0')
for _, counter in ipairs(ticking.counters) do
  local text = redis.call('HGET', CLOCKS, counter.generation)
  local floor = waiting == 0 and counter.floor or nil
  local clock, advanced, closed, oldest, newest, target
  if text then
    local fields = { string.match(text, '^(%d+) (%d+) (%-?%d+) (%d+) (%d+)$') }
    for i, field in ipairs(fields) do fields[i] = tonumber(field) end
    clock, advanced, closed, oldest, newest = unpack(fields)
    local lag = advanced - clock
    target = lag <= ticking.liveLag and upTo - lag or floor
  elseif waiting == 0 and (floor or counter.seed) then
    clock, advanced = floor or counter.seed, upTo
    closed, oldest, newest = clock - counter.lateness, clock, clock
  end
  if clock then
    if target and target > clock then clock, advanced = target, upTo end
    closed = math.max(closed, clock - counter.lateness)
    local now = string.format('%d %d %d %d %d', clock, advanced, closed, oldest, newest)
    if now ~= text then redis.call('HSET', CLOCKS, counter.generation, now) end
  end
end
return { 'ok', math.max(0, waiting), added - applied - waiting }
