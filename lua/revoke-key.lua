--[[
Deletes an API key, if a valid key with the scope admin remains: without any key a service would be open to everybody,
and without admin nobody could make another.

KEYS    API keys (hash: id → JSON with scopes and expiresAt, epoch ms or null)
ARGV    id, now (ms), 1 where a key with the scope admin is kept elsewhere, else 0
Replies "deleted", "unknown" or "last"
--]]
local API_KEYS = KEYS[1]
local id, now, remains = ARGV[1], tonumber(ARGV[2]), ARGV[3] == '1'

if redis.call('HEXISTS', API_KEYS, id) == 0 then return 'unknown' end
local all = redis.call('HGETALL', API_KEYS)
for i = 1, #all, 2 do
  local key = cjson.decode(all[i + 1])
  local valid = key.expiresAt == cjson.null or key.expiresAt > now
  for _, scope in ipairs(key.scopes) do
    remains = remains or (all[i] ~= id and valid and scope == 'admin')
  end
end
if not remains then return 'last' end
redis.call('HDEL', API_KEYS, id)
return 'deleted'
