"""The logins that were right a moment ago, so that a client which sends them with every request is not kept waiting.

- A login holds for who proved it only: one user from one client, against what is stored of that user.
- The first wrong one forgets it. Guesses are thus never compared with what is remembered more than once.
"""

import hmac
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from auth.sealing import keyed_digest

_REMEMBERED_SECONDS = 60.0
_REMEMBERED_LOGINS = 1024


@dataclass(frozen=True, slots=True)
class _Proved:
    proof: bytes = field(repr=False)
    forget_at: float


class RecentLogins:
    """What one process remembers, under a key of its own; the longest unseen goes first."""

    def __init__(
        self,
        *,
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._key = random_bytes(32)
        self._monotonic = monotonic
        self._proved: OrderedDict[str, _Proved] = OrderedDict()

    def knows(self, who: str) -> bool:
        """Whether there is anything to confirm."""
        return who in self._proved

    def confirms(self, who: str, proof: tuple[str, ...]) -> bool:
        """Whether this was right within the last minute; forgets who comes with anything else."""
        proved = self._proved.get(who)
        if proved is None:
            return False
        is_same = hmac.compare_digest(proved.proof, keyed_digest(self._key, *proof))
        if self._monotonic() >= proved.forget_at or not is_same:
            del self._proved[who]
            return False
        self._proved.move_to_end(who)
        return True

    def remember(self, who: str, proof: tuple[str, ...]) -> None:
        """Keep what was right, for a minute."""
        self._proved[who] = _Proved(keyed_digest(self._key, *proof), self._monotonic() + _REMEMBERED_SECONDS)
        self._proved.move_to_end(who)
        if len(self._proved) > _REMEMBERED_LOGINS:
            self._proved.popitem(last=False)
