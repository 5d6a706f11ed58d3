"""The one table of jpath's functions; parser, documentation and completion read it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class JpathFunction:
    """One function. `test` ones answer true or false and stand where a truth is wanted; the others are compared."""

    name: str
    parameters: tuple[str, ...]
    doc: str
    test: bool = False

    @property
    def signature(self) -> str:
        return f"{self.name}({', '.join(self.parameters)})"


JPATH_FUNCTIONS: dict[str, JpathFunction] = {
    function.name: function
    for function in (
        JpathFunction("length", ("value",), "Characters of a string, elements of an array, members of an object."),
        JpathFunction("count", ("path",), "How many nodes a path selects."),
        JpathFunction("value", ("path",), "The value of the only node that a path selects; else nothing."),
        JpathFunction("match", ("text", "pattern"), "Whether a regular expression (RE2) matches the whole text.", True),
        JpathFunction("search", ("text", "pattern"), "Whether a regular expression (RE2) matches in the text.", True),
    )
}
