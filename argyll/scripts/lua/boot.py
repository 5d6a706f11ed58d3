"""The Lua side of the sandbox: trusted code that runs once in each new runtime and keeps what scripts must not reach.

Answers `prepare(source)` and `run(chunk, budget, deadline, clock, heavy_kilobytes, packed, ...)`. Scripts see copies of a whitelist.
"""

from typing import Final

from argyll.scripts.interface import DEFAULT_TEXT

HOOK_EVERY: Final = 100
"""Instructions between two counts."""

HOOKS_PER_LOOK: Final = 10
"""Counts between two looks at the clock."""

HOOK_EVERY_HEAVY: Final = 10
HEAVY_BYTES: Final = 256 * 1024
"""One instruction can join or compare all the text there is. A run that holds more than this is counted every
`HOOK_EVERY_HEAVY` instructions, with a look at the clock each time."""

BYTES_PER_INSTRUCTION: Final = 16
"""Library functions that walk data are charged one instruction per this many bytes, or per element."""

SORT_INSTRUCTIONS: Final = 16
"""What `table.sort` is charged for each element."""

MAX_SEARCH: Final = 10_000_000
"""Largest product of subject and needle lengths of `string.find`: a plain search is quadratic at worst."""

BOOT: Final = (
    f"""
local HOOK_EVERY, HOOK_EVERY_HEAVY, HOOKS_PER_LOOK = {HOOK_EVERY}, {HOOK_EVERY_HEAVY}, {HOOKS_PER_LOOK}
local BYTES, SORT = {BYTES_PER_INSTRUCTION}, {SORT_INSTRUCTIONS}
local MAX_SEARCH, MAX_TEXT = {MAX_SEARCH}, {DEFAULT_TEXT}
"""
    + r"""
local sethook, setupvalue, load, cpu = debug.sethook, debug.setupvalue, load, os.clock
local pcall, error, type, tostring, select = pcall, error, type, tostring, select
local setmetatable, getmetatable, pairs, tonumber = setmetatable, getmetatable, pairs, tonumber
local rawget, rawset, rawlen = rawget, rawset, rawlen
local pack, unpack, memory = table.pack, table.unpack, collectgarbage

local budget, used, deadline, clock, looked, dead = 0, 0, 0, nil, 0, nil
local period, hooks, heavy = HOOK_EVERY, 0, 0

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
  hooks = hooks + 1
  local wanted = memory("count") > heavy and HOOK_EVERY_HEAVY or HOOK_EVERY
  if wanted ~= period then
    period = wanted
    sethook(hook, "", period)
  end
  if period == HOOK_EVERY_HEAVY or hooks >= HOOKS_PER_LOOK or used > budget or dead then
    hooks = 0
    look(cpu())
  end
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
  unpack = function(t, from, to)
    if type(from) == "number" and type(to) == "number" and to > from then charge(to - from) else walked(t) end
    return unpack(t, from, to)
  end,
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
    if type(t) == "table" then charge(rawlen(t) * SORT) end
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
local DEEP = {"stack overflow", "too many results to unpack", "error in error handling"}  -- Lua's stack is full
local function limit_of(message)
  if type(message) ~= "string" then return nil end
  if message == MEMORY then return "memory" end
  for i = 1, #DEEP do
    if find(message, DEEP[i], 1, true) then return "depth" end
  end
end
local function checked(result)
  if result[1] then return end
  dead = dead or limit_of(result[2])
  if dead then error(dead, 0) end
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

local function safe_tonumber(...)
  local text = ...
  if type(text) == "string" then charge(#text) end
  return tonumber(...)
end

local base = {
  assert = assert, error = error, ipairs = ipairs, next = next, pairs = pairs, pcall = safe_pcall, xpcall = safe_xpcall,
  rawequal = rawequal, rawget = rawget, rawlen = rawlen, rawset = rawset, select = select, tonumber = safe_tonumber,
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
  if reason == nil and not ok then reason = limit_of(value) end
  if not ok and type(value) == "table" then value = safe_tostring(value) end
  return ok and reason == nil, value, reason
end

local function run(chunk, allowed, until_, now, heavy_kilobytes, packed, ...)
  setupvalue(chunk, 1, setmetatable({}, environment))
  budget, used, deadline, clock, looked, dead = allowed, 0, until_, now, 0, nil
  period, hooks, heavy = HOOK_EVERY, 0, heavy_kilobytes
  sethook(hook, "", period)
  if packed then return finished(pcall(chunk, unpack(packed, 1, packed.n))) end
  return finished(pcall(chunk, ...))
end

python = nil
return prepare, run
"""
)
