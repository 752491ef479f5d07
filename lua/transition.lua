--[[
Moves instances of an alert rule from what the caller saw to what follows, if the rule is still in the version that the
caller knows and each instance still what it saw. A transition, its place in the history and in the log, and what is to
be delivered are written with the state or not at all, so of several evaluators exactly one makes it. Can make or change
the rule itself in the same step; then either everything is as the caller saw it, or nothing is written.

KEYS    rules (hash: "=version", and one field a rule: version, space, JSON), then the rule's instances (hash: instance
        → state), history (stream), deliveries (hash: event id → JSON), waiting (hash: instance → ids of its jobs that
        are not done, in order), then outbox (stream), log (stream)
ARGV    rule id, version the caller knows ("0": there is none), text of the rule or "" to leave it, packed {
          changes: list of { instance, expected, next: state or "", recorded: nil or { id, event, outcome },
                             due: list of { id, event } },
          waiting: delivery of an event that is due, JSON; rulesMax, historyMax, logMax, logMinId }
Replies {"changed"} the rule is another, or is gone; {"full"} there are rulesMax rules;
        {"ok", version, one character a change: "1" made, "0" the instance was another}
--]]
local RULES, INSTANCES, HISTORY, DELIVERIES, WAITING, OUTBOX, LOG = unpack(KEYS)
local id, known, rule, args = ARGV[1], ARGV[2], ARGV[3], cmsgpack.unpack(ARGV[4])

local stored = redis.call('HGET', RULES, id)
if (stored and string.match(stored, '^%d+') or '0') ~= known then return { 'changed' } end
if known == '0' and redis.call('HLEN', RULES) > args.rulesMax then return { 'full' } end
local made = {}
for i, change in ipairs(args.changes) do
  local is = (redis.call('HGET', INSTANCES, change.instance) or '') == change.expected
  if rule ~= '' and not is then return { 'changed' } end
  made[i] = is and '1' or '0'
end

local version = known
if rule ~= '' then
  version = string.format('%d', tonumber(known) + 1)
  redis.call('HSET', RULES, id, version .. ' ' .. rule)
  redis.call('HINCRBY', RULES, '=version', 1)
end

local function note(recorded)
  redis.call('XADD', HISTORY, '*', 'id', recorded.id, 'event', recorded.event)
  redis.call('HSET', DELIVERIES, recorded.id, recorded.outcome)
  while redis.call('XLEN', HISTORY) > args.historyMax do
    local oldest = redis.call('XRANGE', HISTORY, '-', '+', 'COUNT', 1)[1]
    redis.call('HDEL', DELIVERIES, oldest[2][2])
    redis.call('XDEL', HISTORY, oldest[1])
  end
  redis.call('XADD', LOG, 'MAXLEN', '~', args.logMax, '*', 'event', recorded.event)
  redis.call('XTRIM', LOG, 'MINID', '~', args.logMinId)
end

local function send(instance, event)
  if redis.call('HEXISTS', DELIVERIES, event.id) == 1 then redis.call('HSET', DELIVERIES, event.id, args.waiting) end
  local before = redis.call('HGET', WAITING, instance)
  redis.call('HSET', WAITING, instance, before and before .. ' ' .. event.id or event.id)
  redis.call('XADD', OUTBOX, '*', 'job', event.id, 'rule', id, 'instance', instance, 'event', event.event)
end

for i, change in ipairs(args.changes) do
  if made[i] == '1' then
    if change.next == '' then
      redis.call('HDEL', INSTANCES, change.instance)
    else
      redis.call('HSET', INSTANCES, change.instance, change.next)
    end
    if change.recorded then note(change.recorded) end
    for _, event in ipairs(change.due) do send(change.instance, event) end
  end
end
return { 'ok', version, table.concat(made) }
