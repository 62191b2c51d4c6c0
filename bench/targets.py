"""What figures should come to, and what became of it: sentences, never a failure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from bench.comparison import Kind, Measurement, best, figure, peak, ratio, rounds_of
from bench.rounds import Spread

NAMES = {"figure": "", "cpu": "CPU, ", "peak": "peak memory, "}


@dataclass(frozen=True, slots=True)
class Target:
    """What a registry should come to in the rows whose name is like this (`*` is anything): at least, or at most.

    It is a ratio to another registry, to the best of several, or the figure itself where none is named; `row` is
    another row to compare with, of the same registry.
    """

    rows: str
    registry: str
    others: Sequence[str]
    bound: float
    is_least: bool = True
    kind: Kind = figure
    other_row: str = ""

    def verdicts(self, measurements: Sequence[Measurement]) -> Iterator[str]:
        """A line about each row that was measured."""
        for row in dict.fromkeys(each.row for each in measurements if fnmatchcase(each.row, self.rows)):
            found = self._found(measurements, row)
            if found is not None:
                spread, words = found
                is_reached = spread.median >= self.bound if self.is_least else spread.median <= self.bound
                bound = f"at {'least' if self.is_least else 'most'} {self.bound:g}"
                what = NAMES[self.kind.__name__]
                yield f"{row}: {what}{self.registry} {spread.median:.2f}{words}, {bound}: {said(is_reached)}"

    def _found(self, measurements: Sequence[Measurement], row: str) -> tuple[Spread, str] | None:
        there = rounds_of(measurements, row, self.registry)
        if not there:
            return None
        if self.other_row:
            return self._beside_row(measurements, there)
        if not self.others:
            unit = there[0].unit.value if self.kind is figure else "MiB" if self.kind is peak else ""
            return Spread.of(list(map(self.kind, there))), f" {unit}".rstrip()
        other = best(measurements, row, self.others, self.kind)
        spread = other and ratio(measurements, row, self.registry, other, self.kind)
        return (spread, f" of {other}") if spread else None

    def _beside_row(
        self, measurements: Sequence[Measurement], there: Sequence[Measurement]
    ) -> tuple[Spread, str] | None:
        other = rounds_of(measurements, self.other_row, self.registry)
        pairs = [(self.kind(one), self.kind(two)) for one, two in zip(there, other, strict=False)]
        ratios = [one / two for one, two in pairs if two > 0]
        return (Spread.of(ratios), f" of «{self.other_row}»") if ratios else None


def said(is_reached: bool) -> str:  # noqa: FBT001  it is the only question
    """The last word of a verdict."""
    return "reached" if is_reached else "MISSED"
