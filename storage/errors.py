"""Facts that storage raises; they know nothing of HTTP."""


class StorageError(Exception):
    """Base of every fact that storage raises; `words` say more to who runs the registry, and are for no client."""

    words = ""

    @property
    def in_full(self) -> str:
        """The message with the words."""
        return f"{self}: {self.words}" if self.words else str(self)


class DigestInvalid(StorageError):
    """The text is not a digest that the registry understands."""

    def __init__(self, text: str, reason: str) -> None:
        super().__init__(f"invalid digest: {reason}")
        self.text = text[:256]


class DigestMismatch(StorageError):
    """The bytes received do not have the digest that was promised for them."""

    def __init__(self, expected: str, actual: str) -> None:
        super().__init__(f"the content received has digest {actual}, not {expected}: send it again")
        self.expected = expected
        self.actual = actual


class StoredBytesMissing(StorageError):
    """No object is stored under this key."""

    def __init__(self, key: str) -> None:
        super().__init__(f"nothing is stored under {key}")
        self.key = key


class StagedBytesMissing(StorageError):
    """No staged bytes are kept for this upload."""

    def __init__(self, upload_id: str) -> None:
        super().__init__(f"no staged bytes are kept for upload {upload_id}")
        self.upload_id = upload_id


class StagedBytesBusy(StorageError):
    """Another writer holds the staged bytes of this upload."""

    def __init__(self, upload_id: str) -> None:
        super().__init__(f"upload {upload_id} is being written by another request: wait, then ask for the offset")
        self.upload_id = upload_id


class NoSpace(StorageError):
    """The content store has no room for these bytes."""

    def __init__(self, message: str = "the registry has no space left: free some, then push again") -> None:
        super().__init__(message)


class StoreUnavailable(StorageError):
    """The content store did not take or give the bytes; the same request may succeed later.

    `is_away` tells that this is no matter of one object: the whole store is not there. `words` say more to who runs the
    registry, and are for no client.
    """

    def __init__(self, message: str, words: str = "", *, is_away: bool = False) -> None:
        super().__init__(message)
        self.words = words
        self.is_away = is_away


class DatabaseUnavailable(StorageError):
    """The metadata database did not answer; the same request may succeed later.

    `words` are the database's own: for who runs the registry, and for no client.
    """

    def __init__(self, message: str = "", words: str = "") -> None:
        super().__init__(message)
        self.words = words


class SchemaOutdated(StorageError):
    """The database was made by another version and must be migrated first."""


class KeyFileInvalid(StorageError):
    """A root key is missing, readable by others, torn, or not the one this database was made with."""


class SealBroken(StorageError):
    """A sealed object does not open: it is damaged, or it is not the one that belongs in its place."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"a sealed object does not open: {reason}")
        self.reason = reason


class WrongKey(StorageError):
    """An object is sealed with another key than the one at hand."""

    def __init__(self) -> None:
        super().__init__("the object is sealed with another key: put back the database, or the key, it was made with")


class KeyUnavailable(StorageError):
    """A key of encryption at rest cannot be had now; `words` say more to who runs the registry, for no client."""

    def __init__(self, message: str, words: str = "") -> None:
        super().__init__(message)
        self.words = words


class DomainUnusable(StorageError):
    """The keys of an encryption domain are being destroyed, or were: nothing in it can be read or written."""

    def __init__(self, domain: str, state: str) -> None:
        super().__init__(f"the keys of the encryption domain {domain} {state}")
        self.domain = domain
        self.state = state


class AuditTrailBroken(StorageError):
    """The audit trail was changed by something else than the registry; `event_id` is the first event that shows it."""

    def __init__(self, event_id: int, reason: str) -> None:
        super().__init__(f"the audit trail was tampered with: event {event_id}: {reason}")
        self.event_id = event_id
        self.reason = reason
