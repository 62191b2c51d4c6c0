"""Every target is about rows that are measured, on the registries that it names."""

from fnmatch import fnmatchcase
from typing import Any

import pytest

from bench.files import REGISTRIES
from bench.speed.aims import TARGETS
from bench.speed.competitors import TLS_ENDING
from bench.speed.report import verdicts_of
from bench.speed.sections import sections
from bench.targets import Target
from tests.bench.measured import measured

_ROWS = [row for section in sections(is_quick=False) for row in section.rows]


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: f"{target.rows}, {target.bound}")
def test_a_target_has_a_row(target: Target) -> None:
    def is_meant(row: Any) -> bool:
        is_compared = not target.others or bool({*target.others} & {*row.registries})
        return fnmatchcase(row.name, target.rows) and target.registry in row.registries and is_compared

    assert any(is_meant(row) for row in _ROWS)
    assert not target.other_row or target.other_row in {row.name for row in _ROWS}


def test_what_goes_over_tls_has_no_target() -> None:
    rounds = [measured(row.name, name, 10) for row in _ROWS if TLS_ENDING in row.name for name in row.registries]

    assert {each.registry for each in rounds} == {"lading with TLS", "distribution with TLS", "zot with TLS"}
    assert verdicts_of(rounds) == []


@pytest.mark.parametrize("is_quick", [True, False])
def test_rows_have_names_of_their_own(*, is_quick: bool) -> None:
    names = [row.name for section in sections(is_quick=is_quick) for row in section.rows]

    assert len(set(names)) == len(names)


def test_a_quick_run_measures_nothing_else() -> None:
    quick = {row.name for section in sections(is_quick=True) for row in section.rows}

    assert quick <= {row.name for row in _ROWS}


def test_every_registry_is_known() -> None:
    assert {name for row in _ROWS for name in row.registries} <= REGISTRIES.keys()
