"""The listening sockets, one for each worker, all on one port."""

import errno
import resource
import socket
from contextlib import suppress
from typing import Final

BACKLOG: Final = 1024
_MOST_FILES: Final = 1_048_576  # the kernel's own bound for a process, unless root raised it


class ListenFailed(Exception):
    """The address cannot be listened on."""


def bind(host: str, port: int, count: int) -> list[socket.socket]:
    """Listen `count` times on one address; port 0 takes one free port for all. Raises ListenFailed.

    The kernel spreads connections over the sockets (SO_REUSEPORT). They are inherited by forked workers.
    """
    sockets: list[socket.socket] = []
    try:
        family, _, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE | socket.AI_NUMERICSERV
        )[0]
        # without SO_REUSEPORT first: with it, a second server of the same user would share the port in silence
        with _bound(family, address, shared=False) as claim:
            address = (address[0], claim.getsockname()[1], *address[2:])
        for _ in range(count):
            sockets.append(_bound(family, address, shared=True))
            sockets[-1].listen(BACKLOG)
    except OSError as error:
        for listener in sockets:
            listener.close()
        raise ListenFailed(_reason(error, host, port)) from error
    return sockets


def raise_file_limit() -> int:
    """Let this process open as many files and connections as it may; returns how many."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, _MOST_FILES)
    with suppress(ValueError, OSError):  # macOS has a lower bound of its own
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def address_of(listener: socket.socket) -> str:
    """Show where a socket listens, as in `[::1]:5000`."""
    host, port = listener.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _bound(family: int, address: tuple[object, ...], *, shared: bool) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind(address)
    except OSError:
        listener.close()
        raise
    return listener


def _reason(error: OSError, host: str, port: int) -> str:
    where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    match error.errno:
        case errno.EADDRINUSE:
            return f"{where} is taken by another program: stop it, or choose another address with --listen"
        case errno.EACCES:
            return f"{where} is not open to this user: choose a port from 1024 on with --listen"
        case _:
            return f"cannot listen on {where}: {error.strerror or error}; choose another address with --listen"
