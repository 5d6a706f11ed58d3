"""The one table of what Lua scripts may use; documentation and completion read it, a test holds it to the sandbox."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LuaEntry:
    """One name, with its library where it is in one. `parameters` is None for a value that is no function."""

    name: str
    parameters: str | None
    doc: str

    @property
    def signature(self) -> str:
        return self.name if self.parameters is None else f"{self.name}({self.parameters})"


def _table(library: str, text: str) -> list[LuaEntry]:
    """Lines of `name(parameters): words` or `name: words`."""
    result: list[LuaEntry] = []
    for line in text.strip().splitlines():
        signature, _, words = line.strip().partition(": ")
        name, call, parameters = signature.partition("(")
        result.append(LuaEntry(f"{library}{name}", parameters.removesuffix(")") if call else None, words))
    return result


_BASE = """
_G: The globals of this call; nothing in them outlives it.
_VERSION: "Lua 5.2".
assert(value, message?, ...): Its arguments, or a failure when the first is false or nil.
error(message, level?): Fails with a message.
getmetatable(value): The metatable; `false` for strings and for `_G`.
ipairs(table): Iterates 1, 2, ... up to the first nil.
next(table, key?): The member after a key.
pairs(table): Iterates all members.
pcall(function, ...): Whether a call succeeds, and its results or its failure. Limits are not caught.
print(...): Does nothing: a script cannot write anything.
rawequal(a, b): Equality without metamethods.
rawget(table, key): A member without metamethods.
rawlen(value): The length without metamethods.
rawset(table, key, value): Sets a member without metamethods.
select(index, ...): The arguments from an index on, or their number for `"#"`.
setmetatable(table, metatable): Sets the metatable; `__gc` is refused.
tonumber(value, base?): The number a text stands for, else nil.
tostring(value): The text of a value; tables and functions show no address.
type(value): The name of the kind of a value.
xpcall(function, handler, ...): Like pcall; the handler is called after the failure has left the function.
"""

_STRING = """
byte(s, from?, to?): Codes of bytes.
char(...): The text of byte codes.
find(s, text, from?): Where a plain text first stands, as two positions. There are no patterns.
format(format, ...): Formats as C does: `%d %5.2f %s %q`.
len(s): Bytes, not characters.
lower(s): ASCII letters in lower case.
rep(s, count, separator?): Repeats, up to 1 MiB.
reverse(s): The bytes backwards.
sub(s, from, to?): The bytes between two positions; negative ones count from the end.
upper(s): ASCII letters in upper case.
"""

_TABLE = """
concat(list, separator?, from?, to?): The joined texts.
insert(list, position?, value): Puts a value into a list, at its end by default.
pack(...): A table of the arguments with their number as `n`.
remove(list, position?): Takes a value out of a list, the last by default.
sort(list, before?): Sorts in place.
unpack(list, from?, to?): The values of a list.
"""

_MATH = """
abs(x): Without sign.
acos(x): Arc cosine.
asin(x): Arc sine.
atan(x): Arc tangent.
atan2(y, x): Arc tangent of y/x in the right quadrant.
ceil(x): Rounded up.
cos(x): Cosine.
cosh(x): Hyperbolic cosine.
deg(x): Radians to degrees.
exp(x): e to the power of x.
floor(x): Rounded down.
fmod(x, y): The remainder with the sign of x.
frexp(x): Mantissa and exponent.
huge: Infinity; it cannot leave a script.
ldexp(m, e): m times two to the power of e.
log(x, base?): Logarithm, natural by default.
max(x, ...): The largest.
min(x, ...): The smallest.
modf(x): Whole part and fraction.
pi: 3.14159...
pow(x, y): x to the power of y, as `x ^ y`.
rad(x): Degrees to radians.
random(...): A failure: a script must give the same result for the same inputs.
randomseed(x): A failure, as random.
sin(x): Sine.
sinh(x): Hyperbolic sine.
sqrt(x): Square root.
tan(x): Tangent.
tanh(x): Hyperbolic tangent.
"""

_BIT32 = """
arshift(x, bits): Shifts right, keeping the sign.
band(...): Bitwise and.
bnot(x): Bitwise not.
bor(...): Bitwise or.
btest(...): Whether the bitwise and is not zero.
bxor(...): Bitwise exclusive or.
extract(x, field, width?): Some bits.
lrotate(x, bits): Rotates left.
lshift(x, bits): Shifts left.
replace(x, value, field, width?): With some bits replaced.
rrotate(x, bits): Rotates right.
rshift(x, bits): Shifts right.
"""

LIBRARIES: dict[str, str] = {"string": _STRING, "table": _TABLE, "math": _MATH, "bit32": _BIT32}

LUA_ENTRIES: dict[str, LuaEntry] = {
    entry.name: entry
    for entry in [*_table("", _BASE), *[e for name, text in LIBRARIES.items() for e in _table(f"{name}.", text)]]
}
"""Every name by its full name, the libraries after the base functions."""

LUA_KEYWORDS = (
    *("and", "break", "do", "else", "elseif", "end", "false", "for", "function", "goto", "if", "in"),
    *("local", "nil", "not", "or", "repeat", "return", "then", "true", "until", "while"),
)
