--[[
Writes down how an attempt to deliver an event of an alert rule went. A job that is not among those that wait is done
already, and changes nothing; nor does one of a rule that was deleted meanwhile, which must leave no keys behind.

KEYS    rules, then the rule's deliveries, waiting
ARGV    rule id, instance, job id, event id, delivery as JSON, "done" when the job is
Replies id of the job that may go next, "" for none
--]]
local RULES, DELIVERIES, WAITING = unpack(KEYS)
local rule, instance, job, event, delivery, done = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6] == 'done'

if redis.call('HEXISTS', RULES, rule) == 0 then return '' end
local rest, found = {}, false
for waiting in string.gmatch(redis.call('HGET', WAITING, instance) or '', '%S+') do
  if waiting == job then found = true else rest[#rest + 1] = waiting end
end
if not found then return '' end
if redis.call('HEXISTS', DELIVERIES, event) == 1 then redis.call('HSET', DELIVERIES, event, delivery) end
if not done then return '' end
if #rest == 0 then
  redis.call('HDEL', WAITING, instance)
  return ''
end
redis.call('HSET', WAITING, instance, table.concat(rest, ' '))
return rest[1]
