-- Executes one memcached command on one item, as a whole. script.rs says what it takes and what it returns,
-- stored.rs how items are stored.
local key, op = KEYS[1], ARGV[1]
local MAGIC, ZERO = '\245RW1', '\0\0\0\0'
local STALE, SENT, CHOSEN = 1, 2, 4

local function has(marks, mark) return math.floor(marks / mark) % 2 == 1 end

local function digest(value)
  local hex = string.sub(redis.sha1hex(value), 1, 16)
  local bytes = string.gsub(hex, '..', function(byte) return string.char(tonumber(byte, 16)) end)
  return string.char(string.byte(bytes) % 64 + 64) .. string.sub(bytes, 2)
end

-- The item, or nil and whether the key has a value of another type.
local function read()
  local kind = redis.call('TYPE', key).ok
  if kind ~= 'string' then return nil, kind ~= 'none' end
  local stored = redis.call('GET', key)
  if #stored >= 17 and string.sub(stored, 1, 4) == MAGIC then
    return { marks = string.byte(stored, 5), flags = string.sub(stored, 6, 9), cas = string.sub(stored, 10, 17),
             value = string.sub(stored, 18) }
  end
  return { marks = 0, flags = ZERO, value = stored }
end

local function cas(item)
  if not item.cas then item.cas = digest(item.value) end
  return item.cas
end

-- Stores the item; expiry is `k` to keep what it has, or a word of expiry.rs.
local function put(item, expiry)
  local stored = item.value
  if item.marks ~= 0 or item.flags ~= ZERO or string.sub(stored, 1, 4) == MAGIC then
    stored = MAGIC .. string.char(item.marks) .. item.flags .. cas(item) .. stored
  else
    item.cas = nil
  end
  local kind, millis = string.sub(expiry, 1, 1), string.sub(expiry, 2)
  if kind == 'k' then redis.call('SET', key, stored, 'KEEPTTL')
  elseif kind == '0' then redis.call('SET', key, stored)
  elseif kind == 'r' then redis.call('SET', key, stored, 'PX', millis)
  elseif kind == 'a' then redis.call('SET', key, stored, 'PXAT', millis)
  else redis.call('DEL', key) end
end

local function expire(expiry)
  local kind, millis = string.sub(expiry, 1, 1), string.sub(expiry, 2)
  if kind == '0' then redis.call('PERSIST', key)
  elseif kind == 'r' then redis.call('PEXPIRE', key, millis)
  elseif kind == 'a' then redis.call('PEXPIREAT', key, millis)
  elseif kind == 'g' then redis.call('DEL', key) end
end

local function ttl() return redis.call('PTTL', key) end

-- The seconds since the key was used; only if the server keeps them.
local function idle()
  local seconds = redis.pcall('OBJECT', 'IDLETIME', key)
  return type(seconds) == 'number' and seconds or 0
end

local function reply(status, item, more)
  more = more or {}
  local id = '\0\0\0\0\0\0\0\0'
  if item and more.wants_cas then id = cas(item) end
  return status .. string.char(more.marks or 0) .. (item and item.flags or ZERO) .. id
    .. struct.pack('>i8i8I4I4', more.before or -1, more.after or -1, more.idle or 0, item and #item.value or 0)
    .. (more.value or '')
end

local function option(words, name) return string.find(words, name, 1, true) ~= nil end

-- get: options, expiry or '', expiry of a new item or '', its cas id, limit of a recache or ''
if op == 'g' then
  local options, touch, vivify, id, limit = ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]
  local unused = option(options, 'l') and idle() or 0
  local item, other = read()
  if other or (not item and vivify == '') then return reply('EN') end
  local marks, wins, before = 0, false, ttl()
  if not item then
    item = { marks = SENT, flags = ZERO, cas = id, value = '' }
    if option(options, 'E') then item.marks = SENT + CHOSEN end
    put(item, vivify)
    marks, before = 4, ttl()
    if touch ~= '' and not option(options, 'n') then expire(touch) end
  else
    if has(item.marks, SENT) then marks = marks + 2 end
    if has(item.marks, STALE) then marks = marks + 1 end
    wins = has(item.marks, STALE)
    local left = before
    if touch ~= '' and option(options, 'o') then expire(touch); left = ttl() end
    local is_gone = left == -2
    if is_gone then left = 0 end
    if limit ~= '' and left >= 0 then
      local kind, millis = string.sub(limit, 1, 1), tonumber(string.sub(limit, 2))
      if kind == 'a' then
        local now = redis.call('TIME')
        millis = millis - now[1] * 1000 - math.floor(now[2] / 1000)
        if millis <= 0 then kind = 'g' end
      end
      if kind ~= '0' and kind ~= 'g' and left < millis then wins = true end
    end
    if wins and not has(item.marks, SENT) and not option(options, 'b') then
      cas(item)
      item.marks = item.marks + SENT
      if not is_gone then put(item, 'k') end
      marks = marks + 4
    end
    if touch ~= '' and not option(options, 'o') then expire(touch) end
  end
  return reply('HD', item, { marks = marks, before = before, after = ttl(), idle = unused,
    wants_cas = option(options, 'c'), value = option(options, 'v') and item.value })
end

-- store: mode, value, flags, cas id, expiry, cas id to compare or '', options, expiry of a new item or '', limit
if op == 's' then
  local mode, value, flags, id, expiry, expected = ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6], ARGV[7]
  local options, vivify, limit = ARGV[8], ARGV[9], tonumber(ARGV[10])
  local old, other = read()
  local marks = option(options, 'E') and CHOSEN or 0
  local item = { marks = marks, flags = flags, cas = id, value = value }
  if mode == 'A' or mode == 'P' then
    if other then return reply('WT') end
    if not old and vivify == '' then return reply('NS') end
    if old then
      if expected ~= '' and expected ~= cas(old) then return reply('EX') end
      if #old.value + #value > limit then return reply('NS') end
      item.flags, expiry = old.flags, 'k'
      item.value = mode == 'A' and old.value .. value or value .. old.value
    else
      expiry = vivify
    end
  else
    if mode == 'E' and (old or other) then return reply('NS') end
    if expected == '' then
      if mode == 'R' and not (old or other) then return reply('NS') end
    elseif not old then
      return reply(other and 'EX' or 'NF')
    elseif expected ~= cas(old) then
      -- A lower id is stored as stale if the client says so.
      local e1, e2 = struct.unpack('>I4I4', expected)
      local o1, o2 = struct.unpack('>I4I4', cas(old))
      local is_lower = e1 < o1 or (e1 == o1 and e2 < o2)
      if not option(options, 'I') or not is_lower or (e1 == 0 and e2 == 0) then return reply('EX') end
      item.marks = marks + STALE + (has(old.marks, SENT) and SENT or 0)
      expiry = 'k'
    end
  end
  put(item, expiry)
  return reply('HD', item, { wants_cas = option(options, 'c') })
end

-- delete: cas id to compare or '', options, expiry or '', cas id, flags
if op == 'd' then
  local expected, options, expiry, id, flags = ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]
  local item, other = read()
  if not item and not other then return reply('NF') end
  if expected ~= '' and (other or expected ~= cas(item)) then return reply('EX') end
  local empties, makes_stale = option(options, 'x'), option(options, 'I')
  if not empties and not makes_stale then
    redis.call('DEL', key)
    return reply('HD')
  end
  if other then return reply('WT') end
  local keeps = 'k'
  if empties then
    item = { marks = 0, flags = flags, cas = cas(item), value = '' }
    keeps = expiry == '' and '0' or expiry
  end
  if makes_stale then
    item.cas, item.marks = id, STALE
    if expiry ~= '' then keeps = expiry end
  end
  if option(options, 'E') then item.cas, item.marks = id, item.marks + CHOSEN end
  put(item, keeps)
  return reply('HD')
end

-- Numbers of 64 bits are two of ten digits, because Lua has only 53 bits.
local HIGH, LOW, BASE = 1844674407, 3709551615, 10000000000

local function number(text)
  text = string.match(text, '^[^%z]*')
  local sign, digits = string.match(text, '^%s*([+-]?)(%d+)%s')
  if not digits then sign, digits = string.match(text, '^%s*([+-]?)(%d+)$') end
  if not digits then return nil end
  digits = string.match(digits, '^0*(%d+)$')
  if #digits > 20 or (sign == '-' and digits ~= '0') then return nil end
  local high, low = tonumber(string.sub(digits, 1, -11)) or 0, tonumber(string.sub(digits, -10))
  if high > HIGH or (high == HIGH and low > LOW) then return nil end
  return high, low
end

local function add(high, low, h, l)
  high, low = high + h, low + l
  if low >= BASE then high, low = high + 1, low - BASE end
  if high > HIGH or (high == HIGH and low > LOW) then
    high, low = high - HIGH, low - LOW - 1
    if low < 0 then high, low = high - 1, low + BASE end
  end
  return high, low
end

local function subtract(high, low, h, l)
  if high < h or (high == h and low <= l) then return 0, 0 end
  high, low = high - h, low - l
  if low < 0 then high, low = high - 1, low + BASE end
  return high, low
end

local function digits(high, low)
  if high > 0 then return string.format('%d%010d', high, low) end
  return string.format('%d', low)
end

-- count: mode, delta, cas id to compare or '', cas id, expiry of a new item or '', initial number, expiry or '', options
if op == 'a' then
  local mode, delta, expected, id, vivify, initial = ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6], ARGV[7]
  local touch, options = ARGV[8], ARGV[9]
  local marks = option(options, 'E') and CHOSEN or 0
  local item, other = read()
  if other then return reply('WT') end
  local text
  if not item then
    if vivify == '' then return reply('NF') end
    text = initial
    item = { marks = marks, flags = ZERO, cas = id, value = initial }
    put(item, vivify)
  else
    if item.value == '' then return reply('NN') end
    if expected ~= '' and expected ~= cas(item) then return reply('EX') end
    local high, low = number(item.value)
    if not high then return reply('NN') end
    local h, l = number(delta)
    text = digits((mode == '+' and add or subtract)(high, low, h, l))
    if #text > #item.value then item.marks = 0 end
    if marks ~= 0 and not has(item.marks, CHOSEN) then item.marks = item.marks + CHOSEN end
    -- memcached overwrites a number in its place.
    item.cas, item.value = id, text .. string.rep(' ', #item.value - #text)
    put(item, 'k')
  end
  local before = ttl()
  if touch ~= '' then expire(touch) end
  return reply('HD', item, { before = before, after = ttl(), wants_cas = option(options, 'c'), value = text })
end

-- debug
local unused = idle()
local item = read()
if not item then return reply('EN') end
return reply('HD', item, { before = ttl(), idle = unused, wants_cas = true })
