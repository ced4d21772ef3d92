-- Leases of tokens from buckets in Redis: the rules of plat/leasing.py, which says why they hold.
-- One call settles all that a router has to say at a time.
--
-- KEYS[1]     what this memory is: a hash of `run` (the server's run_id) and `since` (time)
-- KEYS[2...]  buckets, all with the same hash tag as KEYS[1] (Redis Cluster)
-- ARGV[1]     the router's name
-- ARGV[2]     the number of the request; grows with each
-- ARGV[3]     seconds that a lease lives
-- ARGV[4...]  eight for each bucket, in the order of KEYS: rate (0: permits), burst, held, returned, want,
--             seconds since the last token was spent, seconds since the limit is known, 1 if calls were
--             admitted without a lease
-- Returns     four strings for each bucket: lease (-1: an old request), tokens left, seconds until the next
--             token is due, seconds for which nothing is leased because leases were forgotten
--
-- A bucket is a hash: `since` of its memory, `tokens`, `at` (time), and for each router a field
-- `:<router>` of "held expires number". `:?` stands for leases that were forgotten. Times are microseconds of
-- this server's clock (TIME): whole numbers, exact in a double until the year 2255.
-- A bucket goes by itself (PEXPIRE) when it is full. A memory begins anew when KEYS[1] is gone (flushed,
-- lost) or names another server run (restarted from a snapshot, failed over): what buckets hold is void then.

local RESERVE = 4
local ROUNDING = 1e-6
local BIRTH_MARGIN = 2e6
local LONGEST_TTL_MS = 3.15e11
local FORGOTTEN = ':?'

local marker, router, number, ttl = KEYS[1], ':' .. ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]) * 1e6
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1e6 + tonumber(clock[2])

local function text(value)
  return string.format('%.17g', value)
end

-- When this memory began.
local function memory_since()
  local run = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)') or ''
  local known = redis.call('HMGET', marker, 'run', 'since')
  if known[1] == run then return tonumber(known[2]) end
  redis.call('HSET', marker, 'run', run, 'since', text(now))
  return now
end

local since = memory_since()

local function held(bucket)
  local sum = 0
  for _, lease in pairs(bucket.leases) do sum = sum + lease.held end
  return sum
end

-- As if all of it were with routers that nobody knows.
local function forgotten(burst)
  return { tokens = 0, at = since, leases = { [FORGOTTEN] = { held = burst, expires = since + ttl, number = 0 } } }
end

-- A clock that was set back: what is written down lies in the future. Nothing is gained by it.
local function set_right(bucket)
  if bucket.at <= now + ttl then return end
  bucket.at = now
  for _, lease in pairs(bucket.leases) do lease.expires = math.min(lease.expires, now + ttl) end
end

local function load(key, burst, known_for)
  local fields = redis.call('HGETALL', key)
  local bucket = { leases = {} }
  for i = 1, #fields, 2 do
    local name, value = fields[i], fields[i + 1]
    if string.sub(name, 1, 1) == ':' then
      local h, e, n = string.match(value, '(%S+) (%S+) (%S+)')
      bucket.leases[name] = { held = tonumber(h), expires = tonumber(e), number = tonumber(n) }
    else
      bucket[name] = tonumber(value)
    end
  end
  if bucket.since == nil and now - known_for - BIRTH_MARGIN > since then
    return { tokens = burst, at = now, leases = {} }
  end
  if bucket.since ~= since then return forgotten(burst) end
  set_right(bucket)
  return bucket
end

local function save(key, bucket, rate, burst)
  local fields = { 'since', text(since), 'tokens', text(bucket.tokens), 'at', text(bucket.at) }
  for name, lease in pairs(bucket.leases) do
    fields[#fields + 1] = name
    fields[#fields + 1] = text(lease.held) .. ' ' .. text(lease.expires) .. ' ' .. text(lease.number)
  end
  local full_ms = ttl / 1000 + 1000
  if rate > 0 then full_ms = full_ms + burst / rate * 1000 end
  redis.call('DEL', key)
  redis.call('HSET', key, unpack(fields))
  redis.call('PEXPIRE', key, string.format('%.0f', math.min(full_ms, LONGEST_TTL_MS)))
end

local function refill(bucket, till, rate, burst)
  local room = burst - held(bucket)
  if rate == 0 then
    bucket.tokens = math.max(0, room)
  elseif till > bucket.at then
    bucket.tokens = math.max(0, math.min(room, bucket.tokens + (till - bucket.at) * rate / 1e6))
  end
  bucket.at = math.max(bucket.at, till)
end

-- Leases end and tokens come, in the order of time.
local function run(bucket, till, rate, burst)
  local ending = {}
  for name, lease in pairs(bucket.leases) do
    if lease.expires <= till then ending[#ending + 1] = { name, lease.expires } end
  end
  table.sort(ending, function(a, b) return a[2] < b[2] end)
  for _, each in ipairs(ending) do
    refill(bucket, each[2], rate, burst)
    bucket.leases[each[1]] = nil
  end
  refill(bucket, till, rate, burst)
end

-- What the router holds after what it said.
local function settle(bucket, time, rate, burst, ask)
  run(bucket, math.max(bucket.at, time - ask.spent_ago), rate, burst)
  local lease = bucket.leases[router]
  if lease then lease.held = math.min(lease.held, ask.held + ask.returned) end
  run(bucket, time, rate, burst)
  lease = bucket.leases[router]
  local had = lease and lease.held or 0
  bucket.leases[router] = nil
  if rate == 0 then
    bucket.tokens = math.max(0, burst - held(bucket) - ask.held)
    return ask.held
  end
  local keeps = math.min(had, ask.held)
  bucket.tokens = bucket.tokens + math.min(ask.returned, had - keeps)
  return keeps
end

local function grant(bucket, rate, burst, want, keeps, others)
  local reserve = rate > 0 and math.floor(burst / RESERVE) or 0
  local fair = others > 0 and math.ceil(bucket.tokens / 2) or want
  local most = math.min(want, fair, math.floor(bucket.tokens + ROUNDING), burst - reserve - others - keeps)
  local granted = math.max(0, most)
  bucket.tokens = bucket.tokens - granted
  return granted
end

local function wait_s(bucket, rate)
  local lacking = 1 - bucket.tokens
  if lacking <= ROUNDING then return 0 end
  return rate > 0 and lacking / rate or ttl / 1e6
end

local function lease(key, rate, burst, ask)
  local bucket = load(key, burst, ask.known_for)
  local time = math.max(now, bucket.at)
  local known = bucket.leases[router]
  if known and number <= known.number then return { '-1', '0', '0', '0' } end
  local keeps = settle(bucket, time, rate, burst, ask)
  if ask.unpaid and rate > 0 and not bucket.leases[FORGOTTEN] then
    bucket.tokens = 0
    local out = math.max(0, burst - keeps - held(bucket))
    bucket.leases[FORGOTTEN] = { held = out, expires = time + ttl, number = 0 }
  end
  local lost = bucket.leases[FORGOTTEN]
  local others = held(bucket)
  if lost and rate == 0 then
    others = others - lost.held
    lost.held = math.max(0, math.min(lost.held, burst - others - keeps))
  end
  local granted = lost and 0 or grant(bucket, rate, burst, ask.want, keeps, others)
  bucket.leases[router] = { held = keeps + granted, expires = time + ttl, number = number }
  save(key, bucket, rate, burst)
  local lost_s = lost and (lost.expires - time) / 1e6 or 0
  return { text(keeps + granted), text(math.max(0, bucket.tokens)), text(lost_s + wait_s(bucket, rate)), text(lost_s) }
end

local answers = {}
for i = 2, #KEYS do
  local at = 4 + (i - 2) * 8
  local function argument(offset) return tonumber(ARGV[at + offset]) end
  local ask = {
    held = argument(2), returned = argument(3), want = argument(4),
    spent_ago = math.floor(argument(5) * 1e6), known_for = argument(6) * 1e6, unpaid = ARGV[at + 7] == '1',
  }
  for _, each in ipairs(lease(KEYS[i], argument(0), argument(1), ask)) do answers[#answers + 1] = each end
end
return answers
