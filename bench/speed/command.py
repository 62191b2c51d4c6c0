"""The benchmark `speed`, from its arguments to its report."""

import argparse
import sys
import time
from pathlib import Path

from bench.comparison import Measurement, figures, write_json
from bench.files import LADING_OPEN, REGISTRIES, Ground, present
from bench.fleet import Fleet
from bench.peers import LADING
from bench.process import NotStarted
from bench.report import machine, memory_folder
from bench.speed.competitors import ALL, LADINGS, TLS, TOKENS
from bench.speed.report import Run, document, errors, verdicts_of, write_plots
from bench.speed.sections import LeftOut, Plan, measure_all
from bench.speed.zb import run_zb

SECONDS, QUICK_SECONDS = 3600.0, 200.0
_ROUNDS, _QUICK_ROUNDS = 5, 1
_FILL_SECONDS, _QUICK_FILL_SECONDS = 120.0, 12.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What may be asked of it."""
    parser.add_argument("--quick", action="store_true", help="fewer rows and rounds, four minutes at most")
    parser.add_argument("--zot", metavar="PATH", default="", help="zot's program, to be measured too")
    parser.add_argument("--zb", metavar="PATH", default="", help="zot's benchmark, to be run on Lading as it is")
    parser.add_argument("--rounds", type=int, help=f"at most so many (default {_ROUNDS}, or {_QUICK_ROUNDS})")
    parser.add_argument("--folder", type=Path, help="where content is kept (default: in memory, else with TMPDIR)")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the report here too")
    parser.add_argument("--plots", type=Path, metavar="DIRECTORY", help="write plots in SVG here")


def run(asked: argparse.Namespace) -> int:
    """Print the report; 1 when requests to Lading failed, whatever came of the targets."""
    began = time.monotonic()
    with memory_folder(asked.folder) as folder:
        ground = Ground(folder, asked.workers, asked.zot)
        names = {name: REGISTRIES[name] for name in dict.fromkeys((*ALL, *TOKENS, *TLS))}
        known, absent = present(names, ground)
        if LADING not in known:
            raise NotStarted(absent[0])
        measured, left_out = _measure(asked, ground, known)
        said = _zb(asked, ground)
        report = Run(known, absent, folder.parent, measured, left_out, time.monotonic() - began)
    lines = [*document(report), *said]
    print("", *lines, sep="\n")
    _write(asked, report, lines)
    failed = [each for each in errors(measured) if f": {LADING}" in each]
    return 1 if failed or any(each.registry in LADINGS for each in left_out) else 0


def _measure(
    asked: argparse.Namespace, ground: Ground, known: dict[str, str]
) -> tuple[list[Measurement], list[LeftOut]]:
    plan = Plan(
        is_quick=asked.quick,
        only=asked.only,
        seconds=asked.seconds or (QUICK_SECONDS if asked.quick else SECONDS),
        rounds=asked.rounds or (_QUICK_ROUNDS if asked.quick else _ROUNDS),
        present=known,
    )
    measured: list[Measurement] = []
    left_out: dict[tuple[str, str], LeftOut] = {}
    with Fleet(ground, _QUICK_FILL_SECONDS if asked.quick else _FILL_SECONDS) as fleet:
        for outcome in measure_all(fleet, plan):
            if isinstance(outcome, LeftOut):
                left_out[outcome.row, outcome.registry] = outcome
                print(f"{outcome.row:<52} {outcome.registry:<25} {outcome.reason}", file=sys.stderr, flush=True)
            else:
                measured.append(outcome)
                print(f"{outcome.row:<52} {outcome.registry:<25} {figures([outcome])}", file=sys.stderr, flush=True)
    return measured, list(left_out.values())


def _zb(asked: argparse.Namespace, ground: Ground) -> list[str]:
    if not asked.zb:
        return []
    with Fleet(ground) as fleet, fleet.ground(LADING_OPEN) as empty, REGISTRIES[LADING_OPEN].start(empty) as peer:
        return ["", *run_zb(asked.zb, peer, is_quick=asked.quick)]


def _write(asked: argparse.Namespace, report: Run, lines: list[str]) -> None:
    if asked.markdown:
        asked.markdown.write_text("\n".join(lines) + "\n")
    if asked.plots:
        write_plots(asked.plots, report.measured)
    if asked.json:
        facts = {
            "machine": machine(),
            "versions": dict(report.present),
            "settings": {name: REGISTRIES[name].about for name in report.present},
            "absent": list(report.absent),
            "left_out": [f"{each.row}: {each.registry}: {each.reason}" for each in report.left_out],
            "seconds": report.seconds,
            "verdicts": verdicts_of(report.measured),
        }
        write_json(asked.json, facts, report.measured)
