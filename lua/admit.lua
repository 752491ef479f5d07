--[[
Admits keys to one bucket of a counter's widest window, up to `keysMax`, once for all partitions. A key that was
admitted stays so; asking twice changes nothing.

KEYS    admitted keys of the bucket, starts of the buckets that have such a set
ARGV    keysMax, start of the bucket (ms), then keys
Replies one flag a key: 1 admitted, 0 refused
--]]
local ADMITTED, STARTS, max, start = KEYS[1], KEYS[2], tonumber(ARGV[1]), ARGV[2]
local held = redis.call('SCARD', ADMITTED)
if held == 0 then redis.call('ZADD', STARTS, start, start) end
local reply = {}
for i = 3, #ARGV do
  if held < max then
    held = held + redis.call('SADD', ADMITTED, ARGV[i])
    reply[i - 2] = 1
  else
    reply[i - 2] = redis.call('SISMEMBER', ADMITTED, ARGV[i])
  end
end
return reply
