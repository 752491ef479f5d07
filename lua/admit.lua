--[[
Admits keys to one bucket of a counter's widest window, up to `keysMax`, once for all partitions. A key that was
admitted stays so; asking twice changes nothing.

KEYS    admitted keys of the bucket
ARGV    keysMax, then keys
Replies one flag a key: 1 admitted, 0 refused
--]]
local ADMITTED, max = KEYS[1], tonumber(ARGV[1])
local held = redis.call('SCARD', ADMITTED)
local reply = {}
for i = 2, #ARGV do
  if held < max then
    held = held + redis.call('SADD', ADMITTED, ARGV[i])
    reply[i - 1] = 1
  else
    reply[i - 1] = redis.call('SISMEMBER', ADMITTED, ARGV[i])
  end
end
return reply
