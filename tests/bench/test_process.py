"""The memory of a program is followed while it grows."""

import sys
import time
from pathlib import Path

from bench.process import Peak, Program

_GROWING = (
    "import time; time.sleep(0.3); held = bytearray(b'x' * (48 << 20)); time.sleep(0.5); del held; time.sleep(60)"
)


def test_peak_is_what_was_held_for_a_while(tmp_path: Path) -> None:
    """Also when it was given back."""
    with Program([sys.executable, "-c", _GROWING], {}, tmp_path / "log") as program:
        before = program.memory_bytes()
        with Peak(program) as peak:
            time.sleep(1.2)
        after = program.memory_bytes()

    assert peak.memory_bytes > max(before, after) + (40 << 20)
