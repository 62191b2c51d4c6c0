"""A page of the documentation, read for what it shows: documents, tables, and commands with what they print."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

_FENCE = re.compile(r"^```(?P<info>[^\n]*)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE)
_SECTION = re.compile(r"^#{2,3} ", re.MULTILINE)
_BARE_PIPE = re.compile(r"(?<!\\)\|")


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, the words after it, and its text."""

    language: str
    words: tuple[str, ...]
    text: str


@dataclass(frozen=True)
class Command:
    """A command as it would be typed, and the output that the page shows; empty where it shows none."""

    line: str
    output: str


def sections(page: str) -> dict[str, str]:
    """The text of every section of the second and third level, by its heading."""
    parts = _SECTION.split(page)[1:]
    return {part.partition("\n")[0]: part.partition("\n")[2] for part in parts}


def blocks(text: str, language: str) -> list[Block]:
    found = []
    for fence in _FENCE.finditer(text):
        named, *words = fence["info"].split() or [""]
        if named == language:
            found.append(Block(named, tuple(words), fence["text"]))
    return found


def rows(text: str, *header: str) -> list[list[str]]:
    """The rows of every table with this header, cell by cell, without the marks of code."""
    found: list[list[str]] = []
    is_inside = False
    for line in text.splitlines():
        cells = [cell.strip() for cell in _BARE_PIPE.split(line)[1:-1]]
        if cells == list(header):
            is_inside = True
        elif not cells:
            is_inside = False
        elif is_inside and not set("".join(cells)) <= set("-: "):
            found.append(cells)
    return found


def commands(text: str) -> Iterator[Command]:
    """Every command of the console blocks, in order."""
    for block in blocks(text, "console"):
        for shown in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
            line, _, output = shown.partition("\n")
            yield Command(line, output)
