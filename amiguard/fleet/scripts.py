"""What Redis does in one step. The clock in all of them is that of Redis.

A node that was taken over may write any key but its own ACL's. So a script changes no key whose name it only read, but
those that count; and one key of a wrong type stops no more than what is told of its own address.

`{PREFIX}` in braces is the hash tag that keeps all keys in one slot of a cluster. The keys:

- `{PREFIX}:changes`: the stream of messages (field `m`) of the last day
- `{PREFIX}:bans`: who is banned, the snapshot for a node that is new; target -> "TOLD-DECIDED MESSAGE", both times
- `{PREFIX}:ends`: when their bans end, to clean up
- `{PREFIX}:lifted`: when each target was let through, as old as the stream; no ban that was decided before comes back
- `{PREFIX}/allowed`: who is never banned, target -> "TIME MESSAGE"; what the stream says of it holds only if this does
- `{PREFIX}/disallowed`: when that was taken back, for a year; nothing that was allowed before comes back
- `{PREFIX}:epoch`: a random name; where it is missing or another, Redis has lost everything
- `{PREFIX}:count:ADDRESS`: the failures of an address on all nodes, by their time, as long as they count
- `{PREFIX}:network:NETWORK`, `{PREFIX}:account:DIGEST`: the addresses that failed of a network, or on an account
- `{PREFIX}:counted`: the names of the keys of these three kinds, so that they are never too many: who is known for
  least and longest ago makes room
- `{PREFIX}:nodes`: who was heard of when, and in which version; node -> "TIME VERSION"
"""

from __future__ import annotations

from amiguard.quota import ALL_ALLOWED

KEPT = 86_400_000
"""Milliseconds that a change stays in the stream."""

DISALLOWED, DISALLOWED_KEPT = 10_000, 365 * KEPT
"""Of how many it is known that they are not any more, and for how many milliseconds."""

MOST = 100_000
"""Changes in the stream, and bans in the snapshot; some 50 MB each, of ordinary bans."""

COUNTED = 100_000
"""Addresses, networks and accounts that are counted at once, whatever a flood of forged sources does: some 30 MB if
each failed once."""

ATTACKERS = 64
"""Addresses that are kept of an account at least, for nodes may have different settings."""

_NOW = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
"""

SHARE = f"""{_NOW}
local changes, bans, ends, lifted = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local kind, target, message, remaining = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[5])
local decided = now - tonumber(ARGV[4])
if kind == 'ban' and tonumber(redis.call('ZSCORE', lifted, target) or '-inf') > decided then
    return ''
end
if kind == 'unban' then
    local known = string.match(redis.call('HGET', bans, target) or '', '^%d+%-(%d+) ')
    if known and tonumber(known) > decided then
        return '-'
    end
end
local id = redis.call('XADD', changes, 'MINID', '~', string.format('%.0f', now - {KEPT}), '*', 'm', message)
redis.call('XTRIM', changes, 'MAXLEN', '~', {MOST})
if kind == 'ban' then
    local ending = remaining < 0 and math.huge or now + remaining
    local known = tonumber(redis.call('ZSCORE', ends, target) or '-inf')
    if ending >= known then
        redis.call('HSET', bans, target, string.format('%.0f-%.0f ', now, decided) .. message)
        redis.call('ZADD', ends, ending == math.huge and '+inf' or string.format('%.0f', ending), target)
    end
else
    redis.call('HDEL', bans, target)
    redis.call('ZREM', ends, target)
    redis.pcall('ZREMRANGEBYSCORE', KEYS[5], '-inf', '+inf')
    redis.call('ZADD', lifted, 'GT', string.format('%.0f', decided), target)
    redis.call('ZREMRANGEBYSCORE', lifted, '-inf', string.format('%.0f', now - {KEPT}))
    if redis.call('ZCARD', lifted) > {MOST} then
        redis.call('ZPOPMIN', lifted)
    end
end
for _, over in ipairs(redis.call('ZRANGEBYSCORE', ends, '-inf', string.format('%.0f', now), 'LIMIT', 0, 100)) do
    redis.call('HDEL', bans, over)
    redis.call('ZREM', ends, over)
end
if redis.call('ZCARD', ends) > {MOST} then
    redis.call('HDEL', bans, redis.call('ZPOPMIN', ends)[1])
end
return id
"""
"""Tells a change (kind, target, message, milliseconds since it was decided, those left or -1); returns the id
under which it stands, or nothing: its target was let through since, or `-`: it was banned since."""

EXEMPT = f"""{_NOW}
local changes, bans, ends, lifted, failures = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local allowed, disallowed = KEYS[6], KEYS[7]
local kind, target, message, age = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local decided = age < 0 and 0 or now - age
if kind == 'allow' then
    local known = redis.call('HEXISTS', allowed, target) == 1
    if tonumber(redis.call('ZSCORE', disallowed, target) or '-inf') >= decided then
        return ''
    elseif known and age < 0 then
        return '-'
    elseif not known and redis.call('HLEN', allowed) >= {ALL_ALLOWED} then
        return ''
    end
    redis.call('HSET', allowed, target, string.format('%.0f ', now) .. message)
    redis.call('ZREM', disallowed, target)
    redis.call('HDEL', bans, target)
    redis.call('ZREM', ends, target)
    redis.pcall('ZREMRANGEBYSCORE', failures, '-inf', '+inf')
    redis.call('ZADD', lifted, 'GT', string.format('%.0f', decided), target)
else
    redis.call('HDEL', allowed, target)
    redis.call('ZADD', disallowed, 'GT', string.format('%.0f', decided), target)
    redis.call('ZREMRANGEBYSCORE', disallowed, '-inf', string.format('%.0f', now - {DISALLOWED_KEPT}))
    if redis.call('ZCARD', disallowed) > {DISALLOWED} then
        redis.call('ZPOPMIN', disallowed)
    end
end
return redis.call('XADD', changes, 'MINID', '~', string.format('%.0f', now - {KEPT}), '*', 'm', message)
"""
"""Tells that a target is never banned, or may be again (kind, target, message, milliseconds since it was decided or -1
where nobody knows); returns the id under which it stands, `-`: it is known, or nothing: it was taken back since, or too
many are allowed."""

ALLOWED_NOW = """
local told = redis.call('HGET', KEYS[1], ARGV[1])
return told and string.sub(told, 1, tonumber(ARGV[2]))
"""
"""Returns what is told of a target that is never banned (target, bytes at most)."""

PAGE = """
local told, kept = redis.call('HSCAN', KEYS[1], ARGV[1], 'COUNT', ARGV[2]), {}
for place = 1, #told[2], 2 do
    if #told[2][place] + #told[2][place + 1] <= tonumber(ARGV[3]) then
        table.insert(kept, told[2][place])
        table.insert(kept, told[2][place + 1])
    end
end
return {told[1], kept}
"""
"""Returns some fields of a hash with their values (cursor, how many, bytes at most): what is longer is nobody's
message, and must not fill the reader's memory."""

BEHIND = """
local told = {}
for _, entry in ipairs(redis.call('XRANGE', KEYS[1], '(' .. ARGV[1], '+', 'COUNT', ARGV[2])) do
    local message = ''
    for place = 1, #entry[2], 2 do
        if entry[2][place] == 'm' and #entry[2][place + 1] <= tonumber(ARGV[3]) then
            message = entry[2][place + 1]
        end
    end
    table.insert(told, {entry[1], message})
end
return told
"""
"""Returns messages behind one (id, how many, bytes at most), those that are longer empty."""

GREET = f"""{_NOW}
local changes, epoch, nodes = KEYS[1], KEYS[2], KEYS[3]
local written = ARGV[1]
local name = redis.call('GET', epoch)
if not name then
    name = ARGV[2]
    redis.call('SET', epoch, name)
end
redis.pcall('HSET', nodes, ARGV[3], string.format('%.0f ', now) .. ARGV[4])
local kept = 1
if written ~= '' and #redis.call('XRANGE', changes, written, written) == 0 then
    kept = 0
end
local oldest = redis.call('XRANGE', changes, '-', '+', 'COUNT', 1)
local newest = redis.call('XREVRANGE', changes, '+', '-', 'COUNT', 1)
return {{name, kept, string.format('%.0f', now), oldest[1] and oldest[1][1] or '', newest[1] and newest[1][1] or ''}}
"""
"""Says that this node is there (`written`, a random name for a new epoch, node, version); returns the
epoch, whether its last message (`written`) is still there, Redis' time, and the oldest and newest id."""

COUNT = f"""{_NOW}
local failures, network, account, counted = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local name, address, evidence, age = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local weight, findtime, maxretry = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local offender, neighbours_most, network_findtime = ARGV[8] == '1', tonumber(ARGV[9]), tonumber(ARGV[10])
local attackers_most, account_findtime = tonumber(ARGV[11]), tonumber(ARGV[12])
local at = string.format('%.0f', now - age)
local function forget_old(key, window)
    redis.call('ZREMRANGEBYSCORE', key, '-inf', string.format('(%.0f', now - window))
end
local function keep(key, rank, window)
    redis.call('PEXPIRE', key, window)
    redis.call('ZADD', counted, string.format('%.0f', now + rank * window), key)
    if redis.call('ZCARD', counted) > {COUNTED} then
        local least = redis.call('ZPOPMIN', counted)[1]
        local tag = string.match(counted, '^.*:')
        if string.sub(least, 1, #tag) == tag and string.match(string.sub(least, #tag + 1), '^%l+:') then
            redis.pcall('ZREMRANGEBYRANK', least, 0, -1)
        end
    end
end
local function begin_anew(key)
    redis.call('ZREMRANGEBYRANK', key, 0, -1)
    redis.call('ZREM', counted, key)
end
local total, neighbours, proven, attackers, newest = 0, 0, 1, 0, {{}}
if maxretry > 0 and age < findtime then
    for number = 1, weight do
        redis.call('ZADD', failures, at, name .. ':' .. number)
    end
    forget_old(failures, findtime)
    total = redis.call('ZCARD', failures)
    if total >= maxretry then
        offender = true
        begin_anew(failures)
    else
        keep(failures, total, findtime)
    end
end
if neighbours_most > 0 and offender and age < network_findtime then
    redis.call('ZREM', network, (evidence == 'c' and 'd' or 'c') .. address)
    redis.call('ZADD', network, at, evidence .. address)
    forget_old(network, network_findtime)
    neighbours = redis.call('ZCARD', network)
    if neighbours >= neighbours_most then
        for _, one in ipairs(redis.call('ZRANGE', network, 0, -1)) do
            proven = string.sub(one, 1, 1) == 'c' and proven or 0
        end
        begin_anew(network)
    else
        keep(network, neighbours, network_findtime)
        neighbours = 0
    end
end
if attackers_most > 0 and age < account_findtime then
    forget_old(account, account_findtime)
    local before = redis.call('ZCARD', account)
    redis.call('ZADD', account, at, address)
    redis.call('ZREMRANGEBYRANK', account, 0, -1 - math.max(attackers_most, {ATTACKERS}))
    attackers = redis.call('ZCARD', account)
    if before < attackers_most and attackers >= attackers_most then
        newest = redis.call('ZREVRANGE', account, 0, attackers - 1)
    end
    keep(account, attackers, account_findtime)
end
return {{total, neighbours, proven, attackers, newest}}
"""
"""Counts a failure: of its address (weight, findtime, maxretry or 0), of its network (whether its address is an
offender now, how many are too many or 0, findtime) and of its account (the same). Returns how many failures of the
address count now; how many offenders of its network, once they are too many, and whether all are proven; how many
addresses failed on the account, and which, where they become too many. Whoever is too many starts anew, so that one
node is told so."""
