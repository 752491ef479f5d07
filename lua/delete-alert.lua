--[[
Deletes an alert rule and everything that is its own.

KEYS    rules, then the rule's instances, history, deliveries, waiting
ARGV    rule id
Replies 1 deleted, 0 there was none
--]]
if redis.call('HDEL', KEYS[1], ARGV[1]) == 0 then return 0 end
redis.call('HINCRBY', KEYS[1], '=version', 1)
redis.call('UNLINK', KEYS[2], KEYS[3], KEYS[4], KEYS[5])
return 1
