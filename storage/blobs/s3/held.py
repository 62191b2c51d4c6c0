"""The bytes of an upload that are in memory, counted in the budget that all streams share."""

from collections import deque
from collections.abc import Callable, Sequence

from storage.budget import BufferBudget


class Held:
    """Chunks that were written and not sent, in order, and how many bytes are being sent."""

    def __init__(self, budget: BufferBudget) -> None:
        self._budget = budget
        self._chunks: deque[bytes | memoryview] = deque()
        self._counted = 0
        self.size = 0
        self.under_way = 0

    def count(self, size: int) -> bool:
        """Count bytes that are about to be added, if the budget has room for them."""
        if not self._budget.try_take(size):
            return False
        self._counted += size
        return True

    def add(self, chunks: Sequence[bytes | memoryview]) -> None:
        """Append chunks."""
        self._chunks.extend(chunk for chunk in chunks if chunk)
        self.size += sum(map(len, chunks))

    def whole(self, limit: int) -> int:
        """Bytes of the first chunks that together have at most `limit`."""
        size = 0
        for chunk in self._chunks:
            if size + len(chunk) > limit:
                break
            size += len(chunk)
        return size

    def cut_off(self, size: int) -> tuple[list[bytes | memoryview], Callable[[], None]]:
        """The first so many bytes, from now on under way, and what to call once they are not."""
        taken: list[bytes | memoryview] = []
        left = size
        while left:
            chunk = self._chunks.popleft()
            if len(chunk) > left:
                view = memoryview(chunk)
                self._chunks.appendleft(view[left:])
                chunk = view[:left]
            taken.append(chunk)
            left -= len(chunk)
        counted = min(self._counted, size)
        self._counted -= counted
        self.size -= size
        self.under_way += size

        def give_back() -> None:
            self.under_way -= size
            self._budget.give(counted)

        return taken, give_back

    def drop(self) -> None:
        """Forget what was not sent."""
        self._chunks.clear()
        self._budget.give(self._counted)
        self._counted = self.size = 0
