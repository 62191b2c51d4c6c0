"""Parts on their way to S3: at most two of an upload at a time, and what S3 took, in order.

- The first thousand parts have 8 MiB. After them, sixteen such parts are made into one part of 128 MiB, by S3, so that
  a blob of 1 TiB fits into 10,000 parts while no more memory is needed.
- A part is staged once it and all before it were taken.
- Parts that were made one cannot be cut: a group in which a writer began grows on, up to 4 GiB, while it writes.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from storage.blobs.keys import key_of, key_of_upload
from storage.blobs.s3.bucket import Bucket, Part
from storage.blobs.s3.client import MultipartMissing, ObjectMissing, unavailable
from storage.blobs.s3.content import Content
from storage.blobs.s3.held import Held
from storage.blobs.s3.staged import Multipart, Piece, Staged
from storage.digest import Digest
from storage.errors import NoSpace

COPIES: Final = "blobs/"
STAGED: Final = "uploads/"
_MIB: Final = 1024 * 1024
_IN_FLIGHT: Final = 2
_MOST_PARTS: Final = 10_000
_MOST_GROUPED: Final = 512  # 4 GiB: S3 copies 5 GiB at once
_TOO_MANY_PARTS: Final = "the blob has more parts than S3 takes: push it in smaller layers, or raise storage.part_bytes"


@dataclass(frozen=True, slots=True)
class PartSizes:
    """How large parts are, in bytes: `part` each; after `direct` of them, `group` of them are made into one.

    `smallest` is the least that S3 takes for a part that is not the last. Where parts must be equal, all have `part`.
    """

    part: int = 8 * _MIB
    smallest: int = 5 * _MIB
    direct: int = 1000
    group: int = 16
    equal: bool = False

    def next(self, waiting: int, held: Held, *, is_sealed: bool) -> int:
        """Bytes of the next part, of what waits in pieces and what is held.

        One of sealed bytes ends where a chunk does, so that they can be gone on with there.
        """
        if is_sealed and not self.equal:
            whole = waiting + held.whole(self.part - waiting)
            if whole >= self.smallest:
                return whole
        return max(self.part, waiting)  # pieces of a time when parts were larger


@dataclass(frozen=True, slots=True)
class Naming:
    """The keys of one upload, drawn anew at each call; `final_key` where the stored copy has one already."""

    upload_id: str
    new_suffix: Callable[[], str]
    final_key: str | None = None

    def in_place(self) -> str:
        """The key of a stored copy whose digest is not known yet."""
        return COPIES + (self.final_key or key_of_upload(self.upload_id, self.new_suffix()))

    def whole(self, digest: Digest) -> str:
        """The key of a stored copy."""
        return COPIES + (self.final_key or key_of(digest, self.new_suffix()))

    def piece(self) -> str:
        """The key of a piece, or of a group."""
        return f"{STAGED}{self.upload_id}/{self.new_suffix()}"

    @property
    def prefixes(self) -> tuple[str, str]:
        """What the keys of its pieces and groups, and of its copy while it is under way, begin with."""
        return f"{STAGED}{self.upload_id}/", COPIES + key_of_upload(self.upload_id, "")


@dataclass(frozen=True, slots=True)
class _Flight:
    """A part that is being sent; `give_back` tells the budget that its bytes are free."""

    task: "asyncio.Future[Part]"
    pieces: list[Piece]
    give_back: Callable[[], None]


class Parts:
    """The parts of one upload, from what is `staged` on."""

    def __init__(self, bucket: Bucket, staged: Staged, sizes: PartSizes, naming: Naming) -> None:
        self._began = staged.size
        self._bucket = bucket
        self._staged = staged
        self._sizes = sizes
        self._naming = naming
        self._flights: deque[_Flight] = deque()
        self._current: Multipart | None = None
        self._sent = 0
        self._is_ours = staged.multipart is None

    @property
    def are_under_way(self) -> bool:
        """Whether a part is being sent."""
        return bool(self._flights)

    async def send(self, content: Content, pieces: list[Piece], give_back: Callable[[], None]) -> None:
        """Begin to send a part, made of these pieces and more, waiting while two are under way.

        `give_back` is called once, whatever becomes of it. Raises what an earlier part failed with.
        """
        try:
            while len(self._flights) >= _IN_FLIGHT:
                await self.land()
            multipart = await self._open()
        except BaseException:
            give_back()
            raise
        self._sent += 1
        task = asyncio.ensure_future(self._bucket.put_part(multipart.key, multipart.id, self._sent, content))
        self._flights.append(_Flight(task, pieces, give_back))

    async def copy(self, piece: Piece) -> bool:
        """Make a whole piece the last part; False where S3 cannot."""
        multipart = await self._open()
        if not self._bucket.copies_parts:
            return False
        with all_there():
            part = await self._bucket.copy_part(multipart.key, multipart.id, self._sent + 1, piece.key, piece.size)
        self._take(multipart, part, [piece])
        return True

    async def land(self) -> None:
        """Wait for the part that was sent first; when it failed, which this raises, those after it are lost as well."""
        flight = self._flights[0]
        await asyncio.wait([flight.task])  # a cancelled request leaves it under way
        self._flights.popleft()
        flight.give_back()
        if self._current is None:
            raise AssertionError  # parts are sent to what is open
        with all_there():
            self._take(self._current, flight.task.result(), flight.pieces)

    async def land_all(self) -> None:
        """Wait for every part; raises what the first failure was."""
        while self._flights:
            await self.land()

    async def drop(self) -> None:
        """Wait for every part under way and forget it."""
        while self._flights:
            flight = self._flights[0]
            await asyncio.wait([flight.task])
            self._flights.popleft()
            flight.give_back()
            flight.task.exception()  # seen: what failed first was told
        self._current = None

    async def complete(self, *, is_known: bool = True) -> str:
        """Make the stored copy of all parts and tell its key; there must be one. Raises StoreUnavailable.

        Where it is not known what the parts are, the copy may have to be deleted: it must not be another writer's.
        """
        if self._staged.group is not None:
            await self._close_group()
        multipart = self._staged.multipart
        if multipart is None:
            raise AssertionError  # small copies have no parts
        with all_there():
            look = not (is_known or self._is_ours)
            self._is_ours = True  # what is asked for again may be there
            await self._bucket.complete(multipart.key, multipart.id, multipart.parts, look=look)
        self._staged.multipart = None
        return multipart.key

    def _take(self, multipart: Multipart, part: Part, pieces: list[Piece]) -> None:
        multipart.parts.append(part)
        self._staged.spend(pieces)

    async def _open(self) -> Multipart:
        """What the next part goes to: the multipart upload of the copy, or the group that becomes a part of it."""
        if self._current is None:
            self._current = await self._opened()
            self._sent = self._current.parts[-1].number if self._current.parts else 0
        if self._sent < self._most(self._current):
            return self._current
        await self.land_all()
        if self._current is self._staged.group:
            await self._close_group()
        self._current = None
        return await self._open()

    def _most(self, multipart: Multipart) -> int:
        """How many parts go to a multipart upload."""
        main = self._staged.multipart
        if multipart.is_closed:
            return 0
        if multipart is self._staged.group:
            is_cut_perhaps = main is not None and main.size < self._began
            return _MOST_GROUPED if is_cut_perhaps else self._sizes.group
        return self._sizes.direct if self._bucket.copies_parts and not self._sizes.equal else _MOST_PARTS

    async def _opened(self) -> Multipart:
        staged, sizes = self._staged, self._sizes
        await self._bucket.learn()  # another process may have begun the upload
        if staged.multipart is None:
            key = self._naming.in_place()
            staged.multipart = Multipart(key, await self._bucket.begin(key))
        if len(staged.multipart.parts) >= _MOST_PARTS:
            raise NoSpace(_TOO_MANY_PARTS)
        if sizes.equal or len(staged.multipart.parts) < sizes.direct or not self._bucket.copies_parts:
            return staged.multipart
        if staged.group is None:
            key = self._naming.piece()
            staged.group = Multipart(key, await self._bucket.begin(key))
        return staged.group

    async def _close_group(self) -> None:
        """Make the group one part of the copy; its own object is dropped."""
        main, group = self._staged.multipart, self._staged.group
        if main is None or group is None:
            raise AssertionError  # a group is part of a copy
        group.is_closed = True
        with all_there():
            await self._bucket.complete(group.key, group.id, group.parts)
            number = main.parts[-1].number + 1 if main.parts else 1
            main.parts.append(await self._bucket.copy_part(main.key, main.id, number, group.key, group.size))
        # Not deleted before the state is saved: it tells whoever finds an older one what became of the group.
        self._staged.spent.append(group.key)
        self._staged.group = self._current = None


@contextmanager
def all_there() -> Iterator[None]:
    """Raise StoreUnavailable for parts and pieces that only a lifecycle rule or a person can have removed."""
    try:
        yield
    except (MultipartMissing, ObjectMissing) as error:
        words = "staged parts were removed from the bucket: does a lifecycle rule abort uploads or delete objects?"
        raise unavailable(words, is_away=False) from error


async def before_closed_group(bucket: Bucket, staged: Staged, offset: int) -> int:
    """The offset, or where the group began if S3 made it one after the state was saved: it takes no more parts."""
    main, group = staged.multipart, staged.group
    if main is None or group is None:
        return offset
    try:
        await bucket.size(group.key)
    except ObjectMissing:
        group.is_closed = False
        return offset
    staged.spent.append(group.key)
    return min(offset, main.size)
