"""Plots are well-formed SVG that says every ratio."""

import xml.etree.ElementTree as ET

from bench.plots import Bar, bars

_SVG = "{http://www.w3.org/2000/svg}"
_ROWS = [Bar("GET <1 KiB> & HEAD", 3.0, 2.5, 3.5, "zot"), Bar("push", 0.5, 0.4, 0.6, "distribution")]


def test_a_plot_names_every_row_and_its_ratio() -> None:
    root = ET.fromstring(bars("rates", _ROWS))
    texts = [element.text for element in root.iter(f"{_SVG}text")]

    assert texts[0] == "rates"
    assert {"GET <1 KiB> & HEAD", "3.00", "push", "0.50"} <= set(texts)
    assert [element.text for element in root.iter(f"{_SVG}title")] == ["3.00 of zot", "0.50 of distribution"]


def test_what_is_better_has_another_colour_than_what_is_worse() -> None:
    def colours(*, is_better_high: bool) -> list[str | None]:
        root = ET.fromstring(bars("", _ROWS, is_better_high=is_better_high))
        return [element.get("fill") for element in root.iter(f"{_SVG}rect")][1:]

    more, less = colours(is_better_high=True)

    assert more != less
    assert colours(is_better_high=False) == [less, more]


def test_bars_stay_within_the_plot() -> None:
    rows = [Bar("most", 900.0, 100.0, 1000.0, "zot"), Bar("least", 0.001, 0.0005, 0.01, "zot")]
    root = ET.fromstring(bars("", rows))
    width = float(root.get("width", "0"))

    for element in root.iter(f"{_SVG}rect"):
        start = float(element.get("x", "0"))
        assert 0 <= start <= start + float(element.get("width", "0")) <= width


def test_a_plot_may_be_empty() -> None:
    assert ET.fromstring(bars("nothing", [])).tag == f"{_SVG}svg"
