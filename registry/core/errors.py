"""Facts about registry content; they know nothing of HTTP."""

from collections.abc import Sequence
from datetime import UTC, datetime


class RegistryError(Exception):
    """Base of every fact that the core raises."""


class NameInvalid(RegistryError):
    """The repository name does not follow the grammar of the specification."""

    def __init__(self, name: str) -> None:
        super().__init__(
            "invalid repository name: use lower-case letters, digits, and single . _ - separators "
            "in components joined by /, at most 255 characters in all"
        )
        self.name = name[:300]


class TagInvalid(RegistryError):
    """The tag does not follow the grammar of the specification."""

    def __init__(self, tag: str) -> None:
        super().__init__(
            "invalid tag: use at most 128 letters, digits, and . _ - characters, the first not being . or -"
        )
        self.tag = tag[:300]


class RepositoryUnknown(RegistryError):
    """There is no repository of this name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"repository {name} does not exist: push to it first, or check the spelling")
        self.name = name


class RepositoryExists(RegistryError):
    """There is a repository of this name already."""

    def __init__(self, name: str) -> None:
        super().__init__(f"there is a repository {name} already")
        self.name = name


class RepositoryNotEmpty(RegistryError):
    """The repository holds manifests, which deleting it would take away."""

    def __init__(self, name: str) -> None:
        super().__init__(f"repository {name} is not empty: delete its images first, or force it")
        self.name = name


class EncryptionInvalid(RegistryError):
    """The encryption configuration of a repository does not make sense; the text says why."""


class DomainUnknown(RegistryError):
    """There is no encryption domain of this name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"there is no encryption domain {name}: list them with `lading encryption list`")
        self.name = name


class DomainProtected(RegistryError):
    """The domain of repositories that name none cannot be destroyed."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"the encryption domain {name} is the registry's default and cannot be destroyed: "
            "rotate its key, or delete the repositories"
        )
        self.name = name


class DestructionRefused(RegistryError):
    """The keys of a domain cannot be destroyed now, or that cannot be called off; the text says what can be done."""


class DestructionTooEarly(DestructionRefused):
    """The waiting time before the keys of a domain are destroyed is not over; `destroy_at` is when it will be."""

    def __init__(self, name: str, destroy_at: float) -> None:
        moment = datetime.fromtimestamp(destroy_at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        super().__init__(
            f"the keys of the encryption domain {name} can be destroyed from {moment} on: run the same command again "
            f"then, or call it off with `lading encryption destroy {name} --cancel`"
        )
        self.name = name
        self.destroy_at = destroy_at


class BlobUnknown(RegistryError):
    """The repository holds no blob of this digest."""

    def __init__(self, digest: str) -> None:
        super().__init__(f"the repository has no blob {digest}")
        self.digest = digest


class CopyReplaced(RegistryError):
    """The copy of a blob that was being read gave way to another; the same request may succeed at once."""

    def __init__(self, digest: str) -> None:
        super().__init__(f"the blob {digest} was stored anew while it was read: ask for it again")
        self.digest = digest


class ManifestUnknown(RegistryError):
    """The repository holds no manifest under this tag or digest."""

    def __init__(self, reference: str) -> None:
        super().__init__(f"the repository has no manifest {reference}")
        self.reference = reference


class ConditionFailed(RegistryError):
    """What a reference names is not what the request was made for."""

    def __init__(self, header: str, reference: str, digest: str | None) -> None:
        names = "names nothing" if digest is None else f"names {digest}"
        super().__init__(f"{header} does not hold, and nothing was done: {reference} {names}")


class ManifestInvalid(RegistryError):
    """The manifest breaks a rule; `place` names the member that does."""

    def __init__(self, reason: str, place: str | None = None) -> None:
        super().__init__(f"invalid manifest: {place + ': ' if place else ''}{reason}")
        self.place = place


class ManifestNamesUnknown(RegistryError):
    """The manifest names content that the repository does not hold."""

    def __init__(self, digests: Sequence[str]) -> None:
        super().__init__("the manifest names content that the repository does not hold: push that first")
        self.digests = tuple(digests)


class ManifestTooLarge(RegistryError):
    """The manifest is longer than the registry takes."""

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(f"the manifest is longer than {limit_bytes} bytes")
        self.limit_bytes = limit_bytes


class TooManyTags(RegistryError):
    """One push asks for more tags than the registry takes."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"one push takes at most {limit} tags: push the rest in a second request")
        self.limit = limit


class UploadUnknown(RegistryError):
    """There is no such upload session for this repository and caller."""

    def __init__(self) -> None:
        super().__init__("no such upload: it was finished, cancelled or has expired; start another with POST")


class UploadInvalid(RegistryError):
    """The request on an upload session cannot be understood; the text says what is wrong."""


class UploadOutOfOrder(RegistryError):
    """The chunk does not start where the upload stands; `offset` is where it does."""

    def __init__(self, upload_id: str, offset: int) -> None:
        super().__init__(f"the upload stands at byte {offset}: send the chunk that starts there")
        self.upload_id = upload_id
        self.offset = offset


class UploadBusy(RegistryError):
    """Another request is writing this upload; `offset` is what was promised before it began."""

    def __init__(self, upload_id: str, offset: int) -> None:
        super().__init__("another request is writing this upload: wait for it, then ask for the offset with GET")
        self.upload_id = upload_id
        self.offset = offset


class SizeInvalid(RegistryError):
    """The bytes received are not as many as were announced."""


class BlobTooLarge(RegistryError):
    """The blob is longer than the registry takes."""

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(f"the blob is longer than {limit_bytes} bytes")
        self.limit_bytes = limit_bytes


class TooManyUploads(RegistryError):
    """The caller has more unfinished uploads than the registry keeps for one principal."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"you have {limit} unfinished uploads: finish or cancel some first")
        self.limit = limit


class PageInvalid(RegistryError):
    """The page that a list was asked for cannot be read."""

    def __init__(self) -> None:
        super().__init__("n must be a whole number, zero or more")
