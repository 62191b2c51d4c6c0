"""A file has one reason to change and fits a few screens; a function fits one."""

from pathlib import Path

import pytest

from tests.architecture.source import PACKAGES, PROJECT, body_lines, functions, modules

_FILE_LINES = 400
_FUNCTION_LINES = 40
_NAMES_THAT_SAY_NOTHING = {"utils", "util", "common", "helpers", "helper", "misc", "base", "manager", "shared"}


@pytest.mark.parametrize(
    "path", list(modules(*PACKAGES, "bench", "tests", "conformance")), ids=lambda path: str(path.relative_to(PROJECT))
)
def test_a_file_has_at_most_400_lines(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= _FILE_LINES


@pytest.mark.parametrize("path", list(modules(*PACKAGES, "bench")), ids=lambda path: str(path.relative_to(PROJECT)))
def test_a_function_has_at_most_40_lines(path: Path) -> None:
    too_long = [function.name for function in functions(path) if body_lines(function) > _FUNCTION_LINES]

    assert too_long == []


def test_no_module_has_a_name_that_says_nothing() -> None:
    nameless = [path for path in modules(*PACKAGES, "bench") if path.stem in _NAMES_THAT_SAY_NOTHING]

    assert nameless == []
