-- Idempotency keys in Redis: the rules of plat/idempotency.py, which says why they hold. One request a call.
--
-- KEYS[1]  what this memory is: a hash of `run` (the server's run_id) and `since` (time)
-- KEYS[2]  the key's record, with the same hash tag as KEYS[1] (Redis Cluster)
-- ARGV[1]  the request: open (nothing but KEYS[1] is looked at), claim, begin, renew, finish, release
-- ARGV[2]  the claim's token
-- ARGV[3]  the call's fingerprint
-- ARGV[4]  seconds that an owner is taken to be there after it was heard of; as long a new memory is `young`
-- ARGV[5]  seconds that a key is kept once it has begun
-- ARGV[6]  of renew: 1 if the call has begun; of finish: the answer
-- Returns  three strings: the state (mine, lost, running, done, unknown, young), fingerprint, answer
--
-- A record is a hash: `token`, `fingerprint`, `begun` (1 or 0), `until` (time), and `answer` when it is done.
-- Times are microseconds of this server's clock (TIME): whole numbers, exact in a double until the year 2255.
-- A claim that is not renewed goes by itself (PEXPIRE); what has begun stays until its time is over.
-- A memory begins anew when KEYS[1] is gone (flushed, lost) or names another server run (restarted, failed over).

local marker, record = KEYS[1], KEYS[2]
local request, token, fingerprint = ARGV[1], ARGV[2], ARGV[3]
local lease, keep = tonumber(ARGV[4]), tonumber(ARGV[5])
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1e6 + tonumber(clock[2])

local function text(value)
  return string.format('%.0f', value)
end

local function memory_since()
  local run = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)') or ''
  local known = redis.call('HMGET', marker, 'run', 'since')
  if known[1] == run then return tonumber(known[2]) end
  redis.call('HSET', marker, 'run', run, 'since', text(now))
  return now
end

local young = now - memory_since() < lease * 1e6
if request == 'open' then return { 'mine', '', '' } end

local known = redis.call('HMGET', record, 'token', 'fingerprint', 'begun', 'until', 'answer')
local owner, begun, ends, answer = known[1], known[3] == '1', tonumber(known[4] or 0), known[5]
if owner and not begun and not answer and ends <= now then owner = nil end
local is_mine = owner == token and not answer

-- The owner is there. What it has begun stays begun.
local function heard(is_begun)
  local stays = is_begun and math.max(keep, lease) or lease
  redis.call('HSET', record, 'token', token, 'begun', is_begun and '1' or '0', 'until', text(now + lease * 1e6))
  redis.call('PEXPIRE', record, text(stays * 1000))
  return { 'mine', '', '' }
end

if request == 'claim' then
  if not owner and young then return { 'young', '', '' } end
  if not owner or (is_mine and not begun) then
    redis.call('HSET', record, 'fingerprint', fingerprint)
    return heard(false)
  end
  if answer then return { 'done', known[2], answer } end
  return { ends > now and 'running' or 'unknown', known[2], '' }
elseif request == 'begin' then
  return is_mine and heard(true) or { 'lost', '', '' }
elseif request == 'renew' then
  if not owner and young then
    redis.call('HSET', record, 'fingerprint', fingerprint)
  elseif not is_mine then
    return { 'lost', '', '' }
  end
  return heard(begun or ARGV[6] == '1')
elseif request == 'finish' then
  if owner and owner ~= token then return { 'lost', '', '' } end
  redis.call('HSET', record, 'token', token, 'fingerprint', fingerprint, 'begun', '1', 'until', text(now),
    'answer', ARGV[6])
  redis.call('PEXPIRE', record, text(keep * 1000))
  return { 'mine', '', '' }
elseif request == 'release' then
  if not is_mine then return { 'lost', '', '' } end
  redis.call('DEL', record)
  return { 'mine', '', '' }
end
return redis.error_reply('unknown request ' .. request)
