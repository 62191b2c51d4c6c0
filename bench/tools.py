"""Where programs of others are found, and addresses for them to listen on."""

import os
import shutil
import socket
import tempfile
from pathlib import Path

from bench.process import NotStarted

_INSTALLED_BY = {
    "registry": "GOBIN={} go install github.com/distribution/distribution/v3/cmd/registry@v3.1.2",
    "minio": "GOBIN={} go install github.com/minio/minio@v0.0.0-20260212201848-7aac2a2c5b7c",
    "docker-registry": "apt-get install docker-registry",
}


def tools_folder() -> Path:
    """Where `conformance/tools.sh` installs programs too."""
    named = os.environ.get("CONFORMANCE_TOOLS")
    return Path(named) if named else Path(tempfile.gettempdir()) / "lading-tools"


def tool(name: str) -> str:
    """The path of a program; raises NotStarted with the command that installs it."""
    folder = tools_folder() / "bin"
    found = shutil.which(name) or shutil.which(name, path=str(folder))
    if found is None:
        raise NotStarted(f"{name} is not there: {_INSTALLED_BY[name].format(folder)}")
    return found


def free_address() -> str:
    """A loopback address that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"
