-- Takes channels and call starts for many attempts in one step.
--
-- KEYS[1]            the mark that the leases here are complete; without it nothing is leased
-- ARGV[1]            JSON: {ttl_ms, scopes: [[key, cap]...], buckets: [[key, interval_us, burst]...],
--                           requests: [[holder, [scope numbers], [bucket numbers]]...]}
-- Returns            {0, -1} when the mark is missing; else {wait_us, granted...}: for each request 1 or 0, and the
--                    microseconds until the bucket that refused one has its next start (0: no bucket refused)
--
-- A scope is a sorted set of holders by the millisecond at which their lease expires. A bucket is the moment, in
-- microseconds, at which the next start would be on time (the generic cell rate algorithm). Time is this server's own,
-- so that the clocks of many machines can't disagree.

if redis.call('EXISTS', KEYS[1]) == 0 then
  return {0, -1}
end

local argument = cjson.decode(ARGV[1])
local time = redis.call('TIME')
local now_us = time[1] * 1000000 + time[2]
local now_ms = math.floor(now_us / 1000)

local room = {}
for number, scope in ipairs(argument.scopes) do
  redis.call('ZREMRANGEBYSCORE', scope[1], '-inf', now_ms)
  room[number] = scope[2] - redis.call('ZCARD', scope[1])
end

local due = {}
for number, bucket in ipairs(argument.buckets) do
  due[number] = tonumber(redis.call('GET', bucket[1]) or now_us)
end

-- How long until this bucket lets one more start through.
local function wait_for(number)
  local bucket = argument.buckets[number]
  return due[number] - (bucket[3] - 1) * bucket[2] - now_us
end

local reply = {0}
for position, request in ipairs(argument.requests) do
  local free, wait = true, 0
  for _, number in ipairs(request[2]) do
    free = free and room[number] > 0
  end
  if free then
    for _, number in ipairs(request[3]) do
      wait = math.max(wait, wait_for(number))
    end
  end
  if free and wait <= 0 then
    for _, number in ipairs(request[2]) do
      redis.call('ZADD', argument.scopes[number][1], now_ms + argument.ttl_ms, request[1])
      room[number] = room[number] - 1
    end
    for _, number in ipairs(request[3]) do
      due[number] = math.max(due[number], now_us) + argument.buckets[number][2]
    end
    reply[position + 1] = 1
  else
    if wait > 0 and (reply[1] == 0 or wait < reply[1]) then
      reply[1] = math.ceil(wait)
    end
    reply[position + 1] = 0
  end
end

for number, bucket in ipairs(argument.buckets) do
  if due[number] > now_us then
    redis.call('SET', bucket[1], string.format('%.0f', due[number]), 'PX', math.ceil((due[number] - now_us) / 1000))
  end
end

return reply
