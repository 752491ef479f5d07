--[[
Puts an event of an alert rule into the outbox once more, under a job id of its own, unless it is under way.

KEYS    rules, then the rule's deliveries, waiting, then outbox
ARGV    rule id, instance, event id, job id, event as JSON, the delivery the caller saw, the delivery from now on, JSON
Replies 1 queued, 0 the event is under way, another, or gone
--]]
local RULES, DELIVERIES, WAITING, OUTBOX = unpack(KEYS)
local rule, instance, id, job, event, expected, delivery = unpack(ARGV)

if redis.call('HEXISTS', RULES, rule) == 0 then return 0 end
if redis.call('HGET', DELIVERIES, id) ~= expected then return 0 end
redis.call('HSET', DELIVERIES, id, delivery)
local before = redis.call('HGET', WAITING, instance)
redis.call('HSET', WAITING, instance, before and before .. ' ' .. job or job)
redis.call('XADD', OUTBOX, '*', 'job', job, 'rule', rule, 'instance', instance, 'event', event)
return 1
