"""Read what one run of the OCI conformance suite left, print its row, and exit 1 unless every case passed.

- The suite marks a case by its `status` attribute alone: ordinary JUnit readers see no failure.
- Its totals count the inner nodes of its tree as well as the leaves that are listed as cases.
- It exits with 0 when it cannot even set itself up, so a missing or empty result is a failure.
"""

import sys
import xml.etree.ElementTree as ET
from pathlib import Path

BAD = ("failures", "errors", "skipped", "disabled")
OUTPUT_TAIL = 4000
REASON_CHARACTERS = 200


def report(number: str, results: Path, status: str, seconds: str, totals: Path) -> bool:
    """Print one row and the cases that did not pass; true when all passed."""
    junit = results / "junit.xml"
    if not junit.exists():
        print((results / "output.txt").read_text(errors="replace")[-OUTPUT_TAIL:])
        print(f"{number:<4} no result was written (exit {status}, {seconds} s)")
        append(totals, passed=0, bad=1)
        return False
    root = ET.parse(junit).getroot()
    counts = {name: int(root.get(name) or 0) for name in ("tests", *BAD)}
    bad = sum(counts[name] for name in BAD)
    passed = counts["tests"] - bad
    print(
        f"{number:<4} {counts['tests']:>6} {passed:>7} {counts['failures']:>7} {counts['errors']:>7} "
        f"{counts['skipped']:>8} {counts['disabled']:>9} {seconds:>8}"
    )
    for case in root.iter("testcase"):
        if case.get("status") != "passed":
            reason = " ".join((case.findtext("system-out") or "").split())[:REASON_CHARACTERS]
            print(f"     {case.get('status')}: {case.get('name')}: {reason}")
    ended_well = status == "0" and passed > 0
    append(totals, passed=passed, bad=bad if bad or ended_well else 1)
    if not ended_well and not bad:
        print(f"     the suite exited with {status}, {passed} passed")
    return ended_well and bad == 0


def append(totals: Path, *, passed: int, bad: int) -> None:
    """Add one line to the file that the caller sums up."""
    with totals.open("a") as lines:
        lines.write(f"{passed} {bad}\n")


if __name__ == "__main__":
    run, where, exit_status, took, sums = sys.argv[1:6]
    sys.exit(0 if report(run, Path(where), exit_status, took, Path(sums)) else 1)
