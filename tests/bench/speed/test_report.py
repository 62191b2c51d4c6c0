"""The report says what was measured, against whom, what came of each target, and what was left out."""

from dataclasses import replace
from pathlib import Path

from bench.comparison import REQUESTS
from bench.files import LADING_SEALED, LADING_TLS, ZOT, ZOT_TLS
from bench.peers import DISTRIBUTION, LADING
from bench.speed.report import Run, document, write_plots
from bench.speed.sections import LeftOut
from tests.bench.measured import measured

_MEASURED = [
    measured("manifest by tag", LADING, 9000, unit=REQUESTS, cpu_seconds=0.3, requests=10_000),
    measured("manifest by tag", LADING_SEALED, 8000, unit=REQUESTS, cpu_seconds=0.4, requests=10_000),
    measured("manifest by tag", DISTRIBUTION, 2000, unit=REQUESTS, cpu_seconds=2.0, requests=10_000),
    measured("manifest by tag", ZOT, 4000, unit=REQUESTS, cpu_seconds=1.0, requests=10_000, errors=("500 came",)),
]
_RUN = Run(
    present={LADING: "0.1.0", DISTRIBUTION: "v3.1.2"},
    absent=["zot is left out: name its program with --zot PATH"],
    where=Path("/dev/shm"),
    measured=_MEASURED,
    left_out=[LeftOut("catalog of 1,000", DISTRIBUTION, "the time was up")],
    seconds=12.0,
)


def test_it_says_what_was_measured_against_the_best_peer_without_errors() -> None:
    lines = document(_RUN)

    assert any(
        line.startswith("| manifest by tag | lading | 9000 requests/s (9000-9000) | 4.50 (4.50-4.50) of distribution")
        for line in lines
    )


def test_it_says_settings_and_who_is_absent() -> None:
    lines = document(_RUN)

    assert any(line.startswith("lading (0.1.0): a bearer token with every request") for line in lines)
    assert "zot is left out: name its program with --zot PATH  " in lines


def test_it_says_verdicts_errors_and_what_was_left_out() -> None:
    lines = document(_RUN)

    assert "- manifest by tag: lading 4.50 of distribution, at least 3: reached" in lines
    assert "- manifest by tag: CPU, lading 0.15 of distribution, at most 0.35: reached" in lines
    assert "2 of 2 targets reached:" in lines
    assert "- catalog of 1,000: distribution is left out: the time was up" in lines
    assert "- manifest by tag: zot: 500 came" in lines


def test_what_goes_over_tls_is_compared_with_peers_that_speak_it(tmp_path: Path) -> None:
    rounds = [
        measured("HEAD blob, TLS", LADING_TLS, 6000, unit=REQUESTS, requests=10_000),
        measured("HEAD blob, TLS", ZOT_TLS, 4000, unit=REQUESTS, requests=10_000),
    ]

    write_plots(tmp_path, rounds)

    assert any(
        line.startswith(
            "| HEAD blob, TLS | lading with TLS | 6000 requests/s (6000-6000) | 1.50 (1.50-1.50) of zot with TLS"
        )
        for line in document(replace(_RUN, measured=rounds))
    )
    assert "1.50 of zot with TLS" in (tmp_path / "rate.svg").read_text()


def test_it_draws_rates_and_costs(tmp_path: Path) -> None:
    write_plots(tmp_path / "plots", _MEASURED)

    assert sorted(path.name for path in (tmp_path / "plots").iterdir()) == ["cpu.svg", "rate.svg"]
    assert "4.50 of distribution" in (tmp_path / "plots" / "rate.svg").read_text()
