"""What takes more than one command, as scripts (Lua 5.1) that the server runs as a whole: Redis from 6.2 on, Valkey.

Each uses one key, so it works wherever the key is. Times come from the server's clock. Numbers are doubles there, exact
up to 2^53, and are turned into text by `%.0f`, because Lua's own conversion has 14 digits.
"""

from __future__ import annotations

from hashlib import sha1

RETENTION = 86_400_000  # ms for which a lock is remembered that nobody holds


class Script:
    """Its text, and the name by which the server knows it."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.sha = sha1(text.encode(), usedforsecurity=False).hexdigest()


# Text to the sum: as a number it would be rounded to 53 bits. ARGV: by, time to live in ms.
INCREMENT = Script("""
local fresh = redis.call('EXISTS', KEYS[1]) == 0
redis.call('INCRBY', KEYS[1], ARGV[1])
if fresh then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return redis.call('GET', KEYS[1])
""")

PERSIST = Script("""
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
redis.call('PERSIST', KEYS[1])
return 1
""")

# ARGV: whether a value is expected ('1' or ''), which one, whether there is a new one, which one, time to live or ''.
COMPARE_AND_SET = Script("""
local found = redis.call('GET', KEYS[1])
if ARGV[1] == '' then
  if found then return 0 end
elseif found ~= ARGV[2] then
  return 0
end
if ARGV[3] == '' then
  redis.call('DEL', KEYS[1])
elseif ARGV[5] == '' then
  redis.call('SET', KEYS[1], ARGV[4])
else
  redis.call('SET', KEYS[1], ARGV[4], 'PX', ARGV[5])
end
return 1
""")

_NOW = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
"""

# A lock is a hash: owner, until (microseconds), token. The token isn't a counter from 1 but the server's time, or one
# more than the last: so it also grows past a server that has lost its data, and locks that nobody uses can be forgotten
# (after RETENTION).
# ARGV: owner, lease in microseconds, retention in ms.
ACQUIRE = Script(
    _NOW
    + """
local held = redis.call('HMGET', KEYS[1], 'owner', 'until', 'token')
local token = tonumber(held[3] or '0')
if held[1] and tonumber(held[2]) > now then
  if held[1] ~= ARGV[1] then return false end
else
  token = math.max(now, token + 1)
end
redis.call('HSET', KEYS[1], 'owner', ARGV[1], 'until', string.format('%.0f', now + ARGV[2]), 'token',
  string.format('%.0f', token))
redis.call('PEXPIRE', KEYS[1], string.format('%.0f', ARGV[2] / 1000 + ARGV[3]))
return string.format('%.0f', token)
"""
)

# ARGV: owner, lease in microseconds, retention in ms.
RENEW = Script(
    _NOW
    + """
local held = redis.call('HMGET', KEYS[1], 'owner', 'until')
if held[1] ~= ARGV[1] or tonumber(held[2]) <= now then return 0 end
redis.call('HSET', KEYS[1], 'until', string.format('%.0f', now + ARGV[2]))
redis.call('PEXPIRE', KEYS[1], string.format('%.0f', ARGV[2] / 1000 + ARGV[3]))
return 1
"""
)

# HDEL is allowed where memory is full, and HSET isn't. ARGV: owner, retention.
RELEASE = Script(
    _NOW
    + """
local held = redis.call('HMGET', KEYS[1], 'owner', 'until')
if held[1] ~= ARGV[1] or tonumber(held[2]) <= now then return 0 end
redis.call('HDEL', KEYS[1], 'owner')
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1
"""
)

# GCRA, the generic cell rate algorithm (ITU-T I.371): the key holds the theoretical arrival time. ARGV: limit, and the
# interval between two attempts in microseconds. Returns attempts that are left, and microseconds to wait.
ALLOW = Script(
    _NOW
    + """
local limit, interval = tonumber(ARGV[1]), tonumber(ARGV[2])
-- A limit that was longer before ends, too.
local arrival = math.min(math.max(now, tonumber(redis.call('GET', KEYS[1]) or '0')), now + limit * interval) + interval
local over = arrival - now - limit * interval
if over > 0 then return {-1, over} end
redis.call('SET', KEYS[1], string.format('%.0f', arrival), 'PX', string.format('%.0f', (arrival - now) / 1000 + 1))
return {math.floor(-over / interval), 0}
"""
)
