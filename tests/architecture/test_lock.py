"""What is installed is pinned by content, whatever mirror it comes from."""

import re

import pytest

from tests.architecture.source import PROJECT


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-dev.lock"])
def test_the_lock_pins_every_package_with_hashes_and_names_no_host(name: str) -> None:
    text = (PROJECT / name).read_text()
    pins = re.findall(r"^(\S+)==\S+", text, re.MULTILINE)

    assert len(pins) > 20
    assert text.count("==") >= len(pins)
    assert "://" not in text
    for entry in re.split(r"\n(?=\S)", text.strip()):
        assert "--hash=sha256:" in entry, entry[:80]


def test_the_lock_of_the_wheel_is_a_part_of_the_lock_for_development() -> None:
    served = set(re.findall(r"^(\S+==\S+)", (PROJECT / "requirements.lock").read_text(), re.MULTILINE))
    developed = set(re.findall(r"^(\S+==\S+)", (PROJECT / "requirements-dev.lock").read_text(), re.MULTILINE))

    assert served - developed == set()
