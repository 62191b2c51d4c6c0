"""JSON with places: every value knows where in the text it stands, so that a finding can name its line.

- Duplicate members are kept, for the grammar of policies to refuse.
- Depth is bounded, so no text can exhaust the stack; numbers keep the text they were written as.
"""

import re
from dataclasses import dataclass
from json import JSONDecodeError, JSONDecoder
from typing import Final, NoReturn

MAX_DEPTH: Final = 32
"""How deep lists and objects may nest; a policy needs six."""

_SPACE = re.compile(r"[ \t\n\r]*")


class Number(str):
    """A JSON number, as it was written."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Scalar:
    """A string, number, boolean or null, from `start` up to `end`."""

    start: int
    end: int
    value: str | Number | bool | None


@dataclass(frozen=True, slots=True)
class Array:
    """A list."""

    start: int
    end: int
    items: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class Member:
    """A name and its value; `start` is where the name stands."""

    start: int
    name: str
    node: "Node"


@dataclass(frozen=True, slots=True)
class Object:
    """An object, its members in the order of the text, repeated names included."""

    start: int
    end: int
    members: tuple[Member, ...]


Node = Scalar | Array | Object


class JsonInvalid(ValueError):
    """The text is not JSON, or nests too deep; `position` is where that shows."""

    def __init__(self, message: str, position: int, *, too_deep: bool = False) -> None:
        super().__init__(message)
        self.message = message
        self.position = position
        self.too_deep = too_deep


def read_json(text: str) -> Node:
    """Read one JSON value (RFC 8259) that is the whole text. Raises JsonInvalid."""
    reader = _Reader(text)
    node = reader.read(reader.skip(0), depth=1)
    end = reader.skip(node.end)
    if end != len(text):
        raise JsonInvalid("there is more after the end of the document", end)
    return node


def _refuse_constant(constant: str) -> NoReturn:
    raise JSONDecodeError(f"{constant} is no JSON number", constant, 0)


_SCALARS = JSONDecoder(parse_int=Number, parse_float=Number, parse_constant=_refuse_constant)


class _Reader:
    """A recursive descent over one text; the standard decoder reads the scalars."""

    def __init__(self, text: str) -> None:
        self._text = text

    def skip(self, position: int) -> int:
        space = _SPACE.match(self._text, position)
        return space.end() if space else position

    def read(self, position: int, depth: int) -> Node:
        if depth > MAX_DEPTH:
            raise JsonInvalid(f"lists and objects nest deeper than {MAX_DEPTH}", position, too_deep=True)
        match self._text[position : position + 1]:
            case "{":
                return self._object(position, depth)
            case "[":
                return self._array(position, depth)
            case _:
                return self._scalar(position)

    def _object(self, start: int, depth: int) -> Object:
        members: list[Member] = []
        position = self.skip(start + 1)
        if self._text[position : position + 1] == "}":
            return Object(start, position + 1, ())
        while True:
            if self._text[position : position + 1] != '"':
                raise JsonInvalid("a member name in double quotes is expected", position)
            name = self._scalar(position)
            colon = self.skip(name.end)
            if self._text[colon : colon + 1] != ":":
                raise JsonInvalid("a colon is expected after a member name", colon)
            node = self.read(self.skip(colon + 1), depth + 1)
            members.append(Member(position, str(name.value), node))
            position = self.skip(node.end)
            if self._ends(position, "}"):
                return Object(start, position + 1, tuple(members))
            position = self.skip(position + 1)

    def _array(self, start: int, depth: int) -> Array:
        items: list[Node] = []
        position = self.skip(start + 1)
        if self._text[position : position + 1] == "]":
            return Array(start, position + 1, ())
        while True:
            items.append(self.read(position, depth + 1))
            position = self.skip(items[-1].end)
            if self._ends(position, "]"):
                return Array(start, position + 1, tuple(items))
            position = self.skip(position + 1)

    def _ends(self, position: int, bracket: str) -> bool:
        """Whether the list or object closes here; otherwise a comma must stand here."""
        character = self._text[position : position + 1]
        if character not in {bracket, ","}:
            raise JsonInvalid(f"a comma or {bracket} is expected", position)
        return character == bracket

    def _scalar(self, start: int) -> Scalar:
        try:
            value, end = _SCALARS.raw_decode(self._text, start)
        except JSONDecodeError as error:
            position = error.pos if error.doc == self._text else start
            raise JsonInvalid(error.msg, position) from error
        if isinstance(value, str):
            _refuse_surrogates(value, start)
        return Scalar(start, end, value)


def _refuse_surrogates(value: str, position: int) -> None:
    """Half a character pair is no text: no log, audit record or answer could be written with it."""
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise JsonInvalid("a string holds half of a surrogate pair", position) from error
