"""Ask the registry at $OCI_REGISTRY a few things without any client; credentials in OCI_USERNAME and OCI_PASSWORD."""

import argparse
import http.client
import os
import sys
import time
from pathlib import Path

from proofs import layout
from proofs.registry import Registry, sha256

POLL_SECONDS = 0.1


def is_alive(pid: int) -> bool:
    """True while the process runs; one that ended and was not waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_until_ready(address: str, pid: int, seconds: float) -> bool:
    """True once /readyz answers 200; false when the process ends or time is up."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and is_alive(pid):
        connection = http.client.HTTPConnection(address, timeout=5)
        try:
            connection.request("GET", "/readyz")
            if connection.getresponse().status == http.HTTPStatus.OK:
                return True
        except (OSError, http.client.HTTPException):
            pass
        finally:
            connection.close()
        time.sleep(POLL_SECONDS)
    return False


def arguments() -> argparse.Namespace:
    """What to ask."""
    parser = argparse.ArgumentParser(prog="api", description=__doc__)
    asks = parser.add_subparsers(dest="ask", required=True)
    ready = asks.add_parser("ready", help="wait until the server is ready")
    ready.add_argument("--pid", type=int, required=True)
    ready.add_argument("--seconds", type=float, default=30)
    tags = asks.add_parser("tags", help="print the tags of a repository")
    tags.add_argument("repository")
    digests = asks.add_parser("digests", help="print every tag of these repositories and the digest that it names")
    digests.add_argument("repositories", nargs="+")
    for ask in ("digest", "manifest"):
        one = asks.add_parser(ask, help=f"print the {ask} of a reference, its bytes compared with its digest")
        one.add_argument("repository")
        one.add_argument("reference")
    make = asks.add_parser("make-layout", help="write an OCI layout that names `seed` and `multi`")
    make.add_argument("directory", type=Path)
    push = asks.add_parser("push-layout", help="push NAME of an OCI layout and print its digest")
    for argument in ("directory", "name", "repository", "tag"):
        push.add_argument(argument, type=Path if argument == "directory" else str)
    return parser.parse_args()


def digests(registry: Registry, repositories: list[str]) -> str:
    """A line for every tag of these repositories: its name and the digest that it names."""
    return "\n".join(
        f"{name}:{tag} {sha256(registry.pull_manifest(name, tag))}"
        for name in repositories
        for tag in registry.tags(name)
    )


def answer(asked: argparse.Namespace, registry: Registry) -> str:
    """What is printed for one question."""
    match asked.ask:
        case "tags":
            return "\n".join(registry.tags(asked.repository))
        case "digests":
            return digests(registry, asked.repositories)
        case "digest":
            return sha256(registry.pull_manifest(asked.repository, asked.reference))
        case "manifest":
            return registry.pull_manifest(asked.repository, asked.reference).decode()
        case _:
            return layout.push(registry, asked.directory, asked.name, asked.repository, asked.tag)


def main() -> int:
    """Answer one question on standard output."""
    asked = arguments()
    registry = Registry(
        os.environ.get("OCI_REGISTRY", "127.0.0.1:5000"),
        os.environ.get("OCI_USERNAME", ""),
        os.environ.get("OCI_PASSWORD", ""),
    )
    match asked.ask:
        case "ready":
            return 0 if wait_until_ready(registry.address, asked.pid, asked.seconds) else 1
        case "make-layout":
            layout.make(asked.directory)
        case _:
            print(answer(asked, registry))
    return 0


if __name__ == "__main__":
    sys.exit(main())
