--[[
Which fingerprints of a batch are remembered, and how many entries had been applied at that moment. Nothing is remembered
but by applying: as long as that number stands, so does the answer. Writes nothing.

KEYS    state, then the dedupe sets
ARGV    MessagePack: a list of {keys: positions of the sets to look in, fingerprints}
Replies { entries applied, then every fingerprint that some set holds }
--]]
local STATE = KEYS[1]
local UNPACK_MAX = 4000 -- unpack() fails near 8,000 values
local answer = { redis.call('HGET', STATE, 'applied') or '0' }

for _, slot in ipairs(cmsgpack.unpack(ARGV[1])) do
  local fingerprints = slot.fingerprints
  for _, key in ipairs(slot.keys) do
    for from = 1, #fingerprints, UNPACK_MAX do
      local to = math.min(from + UNPACK_MAX - 1, #fingerprints)
      local found = redis.call('SMISMEMBER', KEYS[key], unpack(fingerprints, from, to))
      for i = 1, #found do
        if found[i] == 1 then answer[#answer + 1] = fingerprints[from + i - 1] end
      end
    end
  end
end
return answer
