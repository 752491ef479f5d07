--[[
Takes back that a counter has a corrected layer, once nothing of it is left: readers need not look there any more.

KEYS    cold, then the starts of every window's corrected layer
ARGV    field that says so
Replies 1 taken back, 0 there is still something
--]]
for i = 2, #KEYS do
  if redis.call('EXISTS', KEYS[i]) == 1 then return 0 end
end
redis.call('HDEL', KEYS[1], ARGV[1])
return 1
