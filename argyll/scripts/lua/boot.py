"""The Lua side of the sandbox: trusted code that runs once in each new runtime and keeps what scripts must not reach.

Answers `prepare(source)` and `run(chunk, budget, deadline, clock, packed, ...)`. Scripts see copies of a whitelist.
"""

from typing import Final

from argyll.scripts.interface import DEFAULT_TEXT

HOOK_EVERY: Final = 1_000
"""Instructions between two looks at the budget."""

HOOK_EVERY_HEAVY: Final = 20
HEAVY_S: Final = 1e-6
"""While instructions take longer than this on average, the budget is looked at every `HOOK_EVERY_HEAVY` of them."""

BYTES_PER_INSTRUCTION: Final = 16
"""Library functions that walk data are charged one instruction per this many bytes, or per element."""

MAX_SEARCH: Final = 10_000_000
"""Largest product of subject and needle lengths of `string.find`: a plain search is quadratic at worst."""

BOOT: Final = (
    f"""
local HOOK_EVERY, HOOK_EVERY_HEAVY, HEAVY = {HOOK_EVERY}, {HOOK_EVERY_HEAVY}, {HEAVY_S}
local BYTES, MAX_SEARCH, MAX_TEXT = {BYTES_PER_INSTRUCTION}, {MAX_SEARCH}, {DEFAULT_TEXT}
"""
    + r"""
local sethook, setupvalue, load, cpu = debug.sethook, debug.setupvalue, load, os.clock
local pcall, error, type, tostring, select = pcall, error, type, tostring, select
local setmetatable, getmetatable, pairs = setmetatable, getmetatable, pairs
local rawget, rawset, rawlen = rawget, rawset, rawlen
local pack, unpack, math_huge = table.pack, table.unpack, math.huge

local budget, used, deadline, clock, looked, dead = 0, 0, 0, nil, 0, nil
local period, hooked = HOOK_EVERY, 0

local function look(now)
  if dead then error(dead, 0) end
  if used > budget then
    dead = "steps"
  elseif now - looked >= 0.001 then
    looked = now
    if clock() > deadline then dead = "time" end
  end
  if dead then error(dead, 0) end  -- safe_pcall passes it on: nothing of the script runs after this
end

local function hook()
  used = used + period
  local now = cpu()
  -- An instruction that joins megabytes takes longer than a thousand others: then look more often.
  local wanted = now - hooked > period * HEAVY and HOOK_EVERY_HEAVY or HOOK_EVERY
  hooked = now
  if wanted ~= period then
    period = wanted
    sethook(hook, "", period)
  end
  look(now)
end

local function charge(instructions)
  used = used + instructions
  if instructions > HOOK_EVERY then look(cpu()) end
end

local function safe_tostring(value)
  local kind = type(value)
  if kind == "table" or kind == "function" then
    local meta = getmetatable(value)
    if type(meta) ~= "table" or rawget(meta, "__tostring") == nil then return kind end  -- no addresses
  end
  return tostring(value)
end

local function fail(name, message) error("bad argument to '" .. name .. "' (" .. message .. ")", 3) end

local function subject(name, s)
  if type(s) == "number" then s = tostring(s) end
  if type(s) ~= "string" then fail(name, "string expected, got " .. type(s)) end
  charge(#s / BYTES)
  return s
end

local S = string
local byte, char, format, lower, upper, rep, reverse, sub, find =
  S.byte, S.char, S.format, S.lower, S.upper, S.rep, S.reverse, S.sub, S.find
local strings = {
  byte = function(s, ...) return byte(subject("byte", s), ...) end,
  char = char,
  len = function(s) return #subject("len", s) end,
  lower = function(s) return lower(subject("lower", s)) end,
  upper = function(s) return upper(subject("upper", s)) end,
  reverse = function(s) return reverse(subject("reverse", s)) end,
  sub = function(s, ...) return sub(subject("sub", s), ...) end,
  find = function(s, needle, start)
    s, needle = subject("find", s), subject("find", needle)
    if #s * #needle > MAX_SEARCH then error("string.find: the strings are too long to search", 2) end
    return find(s, needle, start, true)
  end,
  format = function(pattern, ...)
    local values = pack(...)
    for i = 1, values.n do
      local kind = type(values[i])
      if kind == "table" or kind == "function" then values[i] = safe_tostring(values[i]) end
      if type(values[i]) == "string" then charge(#values[i] / BYTES) end
    end
    return format(subject("format", pattern), unpack(values, 1, values.n))
  end,
  rep = function(s, count, separator)
    s, separator = subject("rep", s), separator == nil and "" or subject("rep", separator)
    if type(count) ~= "number" then fail("rep", "number expected, got " .. type(count)) end
    local total = (#s + #separator) * count
    if not (count > 0) or total == 0 then return "" end
    if not (total <= MAX_TEXT) then error("string.rep: the result would be longer than " .. MAX_TEXT .. " bytes", 2) end
    charge(total / BYTES)
    return rep(s, count, separator)
  end,
}
for name in pairs(S) do S[name] = nil end
for name, value in pairs(strings) do S[name] = value end  -- what ("x"):upper() finds
getmetatable("").__metatable = false

local T = table
local concat, insert, remove, sort = T.concat, T.insert, T.remove, T.sort
local function walked(t) if type(t) == "table" then charge(rawlen(t)) end end
local tables = {
  pack = pack,
  unpack = function(t, ...) walked(t) return unpack(t, ...) end,
  concat = function(t, ...) walked(t) local s = concat(t, ...) charge(#s / BYTES) return s end,
  insert = function(t, ...)
    if select("#", ...) > 1 then walked(t) end
    return insert(t, ...)
  end,
  remove = function(t, ...)
    if select("#", ...) > 0 then walked(t) end
    return remove(t, ...)
  end,
  sort = function(t, order)
    walked(t) walked(t) walked(t) walked(t)
    return sort(t, order)
  end,
}

local maths = {}
for name, value in pairs(math) do maths[name] = value end
maths.log10 = nil
local IMPURE = "math.random is not available: a script must give the same result for the same inputs"
local function impure() error(IMPURE, 2) end
maths.random, maths.randomseed = impure, impure

local MEMORY = "not enough memory"
local function checked(result)
  if not result[1] then
    if dead then error(dead, 0) end
    if result[2] == MEMORY then dead = "memory" error(dead, 0) end
  end
end
local function safe_pcall(f, ...)
  local result = pack(pcall(f, ...))
  checked(result)
  return unpack(result, 1, result.n)
end
-- The handler runs after unwinding: while it ran inside the failure, hooks would be off.
local function safe_xpcall(f, handler, ...)
  local result = pack(pcall(f, ...))
  checked(result)
  if result[1] then return unpack(result, 1, result.n) end
  return false, handler(result[2])
end
-- Finalisers run with hooks off.
local function safe_setmetatable(t, meta)
  if type(meta) == "table" and rawget(meta, "__gc") ~= nil then error("__gc is not available", 2) end
  return setmetatable(t, meta)
end

local base = {
  assert = assert, error = error, ipairs = ipairs, next = next, pairs = pairs, pcall = safe_pcall, xpcall = safe_xpcall,
  rawequal = rawequal, rawget = rawget, rawlen = rawlen, rawset = rawset, select = select, tonumber = tonumber,
  tostring = safe_tostring, type = type, setmetatable = safe_setmetatable, getmetatable = getmetatable,
  print = function() end, _VERSION = _VERSION,
}
local libraries = {string = strings, table = tables, math = maths, bit32 = bit32}
local environment = {__metatable = false, __index = function(globals, name)
  if name == "_G" then return globals end
  local library = libraries[name]
  if library == nil then return base[name] end
  local copy = {}
  for key, value in pairs(library) do copy[key] = value end
  rawset(globals, name, copy)
  return copy
end}

local function prepare(source)
  local chunk, message = load(source, "=script", "t", {})
  return chunk, message
end

local function finished(ok, value)
  sethook()
  local reason = dead
  dead, clock = nil, nil
  if reason == nil and not ok and value == MEMORY then reason = "memory" end
  if not ok and type(value) == "table" then value = safe_tostring(value) end
  return ok and reason == nil, value, reason
end

local function run(chunk, allowed, until_, now, packed, ...)
  setupvalue(chunk, 1, setmetatable({}, environment))
  budget, used, deadline, clock, looked, dead = allowed, 0, until_, now, 0, nil
  period, hooked = HOOK_EVERY, math_huge
  sethook(hook, "", period)
  if packed then return finished(pcall(chunk, unpack(packed, 1, packed.n))) end
  return finished(pcall(chunk, ...))
end

python = nil
return prepare, run
"""
)
