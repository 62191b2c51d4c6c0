"""Loads of small requests: one kind of request, again and again, over so many connections at once.

What a registry writes down a moment later counts as well: that of the end is missed, that of the warming up is not.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from bench.comparison import REQUESTS
from bench.connection import Refused
from bench.loads import Came, Load
from bench.requests import Job, ask_all, ask_once
from bench.stock import Stock

Headers = Mapping[str, str]
_WARMING_PART = 0.4


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked: `requests` of the headers that a connection has, with a token for the scope."""

    scope: str
    requests: Callable[[Headers], list[bytes]]
    expected: int = 200
    is_head: bool = False


def asking(
    name: str, registries: tuple[str, ...], about: Callable[[Stock], Question], *, connections: int, seconds: float
) -> Load:
    """A question, asked for so long over so many connections, after a moment that does not count."""
    jobs: dict[Stock, Job] = {}

    def prepare(stock: Stock) -> None:
        question, queues = about(stock), []
        for number in range(connections):
            requests = question.requests(stock.peer.scoped(question.scope))
            start = number * len(requests) // connections
            queues.append(requests[start:] + requests[:start])
        jobs[stock] = Job(
            stock.peer.address,
            queues,
            seconds,
            question.expected,
            question.is_head,
            certificate=stock.peer.certificate,
        )
        asked = ask_once(replace(jobs[stock], seconds=seconds * _WARMING_PART))
        if asked.errors:
            raise Refused(asked.errors[0])

    def run(stock: Stock) -> Came:
        asked = ask_all(jobs.pop(stock))
        return Came(asked.rate, asked.received_bytes, asked.errors, asked.count, asked.client_cpu_seconds)

    return Load(name, REQUESTS, registries, prepare, run)
