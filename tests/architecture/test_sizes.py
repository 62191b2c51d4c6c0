"""A file has one reason to change and fits a few screens; a function fits one."""

from tests.architecture.source import PACKAGES, PROJECT, body_lines, functions, modules

_FILE_LINES = 400
_FUNCTION_LINES = 40
_NAMES_THAT_SAY_NOTHING = {"utils", "util", "common", "helpers", "helper", "misc", "base", "manager", "shared"}


def test_a_file_has_at_most_400_lines() -> None:
    lines = {path: len(path.read_text().splitlines()) for path in modules(*PACKAGES, "bench", "tests", "conformance")}

    too_long = [str(path.relative_to(PROJECT)) for path, length in lines.items() if length > _FILE_LINES]

    assert lines
    assert too_long == []


def test_a_function_has_at_most_40_lines() -> None:
    found = [(path, function) for path in modules(*PACKAGES, "bench") for function in functions(path)]

    too_long = [
        f"{path.relative_to(PROJECT)}: {function.name}"
        for path, function in found
        if body_lines(function) > _FUNCTION_LINES
    ]

    assert found
    assert too_long == []


def test_no_module_has_a_name_that_says_nothing() -> None:
    nameless = [path for path in modules(*PACKAGES, "bench") if path.stem in _NAMES_THAT_SAY_NOTHING]

    assert nameless == []
