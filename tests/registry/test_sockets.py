"""What the listening sockets and all that comes through them may take."""

import resource
import subprocess
import sys

import pytest

PROGRAM = """
import resource
from registry.sockets import raise_file_limit
resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}))
print(raise_file_limit(), *resource.getrlimit(resource.RLIMIT_NOFILE))
"""


@pytest.mark.parametrize("soft", [100, 600])
def test_as_many_files_as_the_system_allows(soft: int) -> None:
    """Whoever starts the server need not know of the limit; the hard one is not touched."""
    hard = min(600, resource.getrlimit(resource.RLIMIT_NOFILE)[1])

    told = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(soft=soft, hard=hard)], capture_output=True, text=True, check=True
    )

    assert told.stdout.split() == ["600", "600", "600"]
