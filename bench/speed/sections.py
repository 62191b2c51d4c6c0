"""What the benchmark `speed` measures: rows, and how the registries stand while they are measured."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from bench.comparison import Measurement
from bench.fleet import Fleet
from bench.process import NotStarted
from bench.rounds import Planned, Schedule
from bench.speed.small import small_rows, small_tls_rows, token_rows
from bench.speed.starts import measure_start, start_rows
from bench.speed.transfers import blob_tls_rows, image_rows, pull_rows, push_rows
from bench.stock import UNFILLED

EVERYTHING = "everything"


class Row(Protocol):
    """What all rows have."""

    @property
    def name(self) -> str:
        """What the table calls it."""

    @property
    def registries(self) -> tuple[str, ...]:
        """Who is measured."""


RowOf = TypeVar("RowOf", bound=Row)


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A registry that could not be measured in a row."""

    row: str
    registry: str
    reason: str


@dataclass(frozen=True, slots=True)
class Section(Generic[RowOf]):
    """Rows that are measured in one way, on registries that stand as long as it lasts; `share` is of the time."""

    title: str
    share: float
    rows: Sequence[RowOf]
    measure: Callable[[Fleet, RowOf, str], Measurement]

    def only(self, text: str) -> "Section[RowOf]":
        """The rows with a text in their name."""
        return Section(self.title, self.share, [row for row in self.rows if text in row.name], self.measure)

    def measurements(
        self, fleet: Fleet, present: Mapping[str, str], rounds: int, seconds: float
    ) -> Iterator[Measurement | LeftOut]:
        """Every measurement as it comes, of the registries that are there."""
        planned = [Planned(row, rounds, tuple(name for name in row.registries if name in present)) for row in self.rows]
        schedule = Schedule[RowOf, Measurement | LeftOut](planned, (), seconds)
        begun = set()
        for row, _, outcome in schedule.run(lambda row, name: self._measured(fleet, row, name)):
            begun.add(row.name)
            yield outcome
        fleet.end()
        yield from (LeftOut(row.name, EVERYTHING, "the time was up") for row in self.rows if row.name not in begun)

    def _measured(self, fleet: Fleet, row: RowOf, name: str) -> Measurement | LeftOut:
        try:
            return self.measure(fleet, row, name)
        except (NotStarted, *UNFILLED) as reason:
            return LeftOut(row.name, name, f"{type(reason).__name__}: {reason}")


@dataclass(frozen=True, slots=True)
class Plan:
    """How much of it is measured, and of which registries: a name and a version each."""

    is_quick: bool
    only: str
    seconds: float
    rounds: int
    present: Mapping[str, str]


def sections(*, is_quick: bool) -> list[Section[Any]]:
    """All there is to measure, the cheapest first; a quick run has fewer rows and shorter ones."""
    over_tls = [*small_tls_rows(is_quick=is_quick), *blob_tls_rows(is_quick=is_quick)]
    return [
        Section("Starts and memory", 0.05, start_rows(is_quick=is_quick), measure_start),
        Section("Small requests", 0.35, small_rows(is_quick=is_quick), Fleet.measure),
        Section("Tokens on both sides", 0.06, token_rows(is_quick=is_quick), Fleet.measure),
        Section("Pulls", 0.11, pull_rows(is_quick=is_quick), Fleet.measure),
        Section("Images", 0.07, image_rows(), Fleet.measure_and_empty),
        Section("Over TLS", 0.09, over_tls, Fleet.measure_and_empty),
        Section("Pushes", 0.27, push_rows(is_quick=is_quick), Fleet.measure_and_empty),
    ]


def measure_all(fleet: Fleet, plan: Plan) -> Iterator[Measurement | LeftOut]:
    """Every section in turn; the time that one leaves is that of those after it."""
    deadline = time.monotonic() + plan.seconds
    chosen = [section.only(plan.only) for section in sections(is_quick=plan.is_quick)]
    chosen = [section for section in chosen if section.rows]
    if not chosen:
        raise NotStarted(f"no row has {plan.only!r} in its name")
    for number, section in enumerate(chosen):
        share = section.share / sum(each.share for each in chosen[number:])
        seconds = share * (deadline - time.monotonic())
        yield from section.measurements(fleet, plan.present, plan.rounds, seconds)
