"""Keys of encryption at rest: which there are, letting others follow, and destroying those of a domain."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from registry.admin.documents import Model, Time, rfc3339
from registry.admin.operation import Call, Operation
from registry.admin.services import Services
from registry.core.domains import (
    DEFAULT_WAIT_SECONDS,
    LEAST_WAIT_SECONDS,
    MOST_WAIT_SECONDS,
    Encryption,
    EncryptionType,
    KeyState,
    ListedKey,
)
from storage.metadata.domain_keys import StoredDomain

KMS_KEY_PATTERN = r"^[A-Za-z0-9:/_-]{1,512}$"

KmsKey = Annotated[
    str,
    Field(
        pattern=KMS_KEY_PATTERN,
        description="The id, alias or ARN of a KMS key; each names an encryption domain of its own.",
        examples=["alias/team"],
    ),
]


class EncryptionConfiguration(Model):
    """How a repository is encrypted at rest, as ECR has it; it never changes.

    With KMS and no key, it is the registry's own KMS key, shown as alias/aws/ecr.
    """

    type: EncryptionType = EncryptionType.AES256
    kms_key: KmsKey | None = None


class EncryptionKey(Model):
    """A version of an encryption domain's key, without the key."""

    domain: str
    version: int
    state: KeyState
    created_at: Time
    wrapped_by: str = Field(description="The root key, or the KMS key, that is needed to use it.")


class EncryptionKeys(Model):
    """Every version of every domain's key, by domain and version."""

    items: list[EncryptionKey]


class Content(Model):
    """How much there is of some content."""

    blobs: int
    manifests: int


class DomainVersion(EncryptionKey):
    """A version of a domain's key, and how much it encrypts."""

    encrypts: Content


class EncryptionDomain(Model):
    """An encryption domain; `plain` is what its repositories hold that is not encrypted."""

    name: str
    kms_key: str | None
    created_at: Time
    destroy_at: Time | None = Field(description="From when on its keys can be destroyed; it is unusable meanwhile.")
    destroyed_at: Time | None
    versions: list[DomainVersion]
    plain: Content
    reencrypting: bool = Field(description="Whether a server rewrites what its newest key does not encrypt.")


class DomainState(Model):
    """What becomes of an encryption domain."""

    name: str
    destroy_at: Time | None
    destroyed_at: Time | None


class RootKeyRotation(Model):
    """The root key that wraps from now on, and how many keys of domains it wraps.

    `kept` is how many stay wrapped by a KMS key of their own that the service does not give.
    """

    root: str
    before: str
    keys: int
    kept: int


class KeyRotation(Model):
    """Whether what is plain or sealed with earlier keys is rewritten in the background."""

    reencrypt: bool = False


class Destruction(Model):
    """How long to wait before the keys can be destroyed; only where their destruction is not planned yet."""

    after_seconds: float | None = Field(
        default=None,
        ge=LEAST_WAIT_SECONDS,
        le=MOST_WAIT_SECONDS,
        description=f"{DEFAULT_WAIT_SECONDS} where it is left out.",
    )


def configuration_of(domain: str) -> EncryptionConfiguration:
    """The configuration that names a domain."""
    encryption = Encryption.of(domain)
    return EncryptionConfiguration(type=encryption.type, kms_key=encryption.kms_key)


def _key(key: ListedKey) -> dict[str, Any]:
    return {
        "domain": key.domain,
        "version": key.version,
        "state": key.state,
        "created_at": rfc3339(key.created_at),
        "wrapped_by": key.root,
    }


def _state(domain: StoredDomain) -> DomainState:
    return DomainState(name=domain.name, **_times(domain))


def _times(domain: StoredDomain) -> Mapping[str, str | None]:
    return {
        "destroy_at": None if domain.destroy_at is None else rfc3339(domain.destroy_at),
        "destroyed_at": None if domain.destroyed_at is None else rfc3339(domain.destroyed_at),
    }


async def _rotate_root(services: Services, call: Call[None, None]) -> RootKeyRotation:  # noqa: ARG001  (an operation's signature)
    done = await services.root_rotation.run(services.turn)
    return RootKeyRotation(root=done.root, before=done.before, keys=done.keys, kept=done.kept)


async def _list(services: Services, call: Call[None, None]) -> EncryptionKeys:  # noqa: ARG001  (an operation's signature)
    return EncryptionKeys(items=[EncryptionKey(**_key(key)) for key in await services.domains.keys()])


async def _get(services: Services, call: Call[None, None]) -> EncryptionDomain:
    name = call.names["domain"]
    domain, keys = await services.domains.domain(name), await services.domains.keys(name)
    sealed = {
        each.version: Content(blobs=each.blobs, manifests=each.manifests)
        for each in await services.domains.sealed(name)
    }
    return EncryptionDomain(
        name=domain.name,
        kms_key=domain.kms_key,
        created_at=rfc3339(domain.created_at),
        **_times(domain),
        versions=[DomainVersion(**_key(key), encrypts=sealed[key.version]) for key in keys],
        plain=sealed[0],
        reencrypting=domain.reencrypt_to is not None,
    )


async def _rotate(services: Services, call: Call[KeyRotation, None]) -> EncryptionKey:
    name = call.names["domain"]
    return EncryptionKey(**_key(await services.domains.rotate(name, reencrypt=call.body.reencrypt)))


async def _destroy(services: Services, call: Call[Destruction, None]) -> DomainState:
    return _state(await services.domains.destroy(call.names["domain"], call.body.after_seconds))


async def _keep(services: Services, call: Call[None, None]) -> None:
    await services.domains.keep(call.names["domain"])


_OF = "/encryption/domains/{domain}"

ROTATE_ROOT = Operation(
    name="RotateRootKey", method="POST", path="/encryption/root-key-rotations",
    summary="Let the next root key wrap every key of encryption; no stored object is touched.",
    perform=_rotate_root, answer=RootKeyRotation,
)  # fmt: skip
LIST = Operation(
    name="ListEncryptionKeys", method="GET", path="/encryption/keys",
    summary="List the keys of all encryption domains, and what each is for.", perform=_list, answer=EncryptionKeys,
)  # fmt: skip
GET = Operation(
    name="GetEncryptionDomain", method="GET", path=_OF,
    summary="Show an encryption domain and how much is sealed with each of its keys; it takes longer the more that is.",
    perform=_get, answer=EncryptionDomain,
)  # fmt: skip
ROTATE = Operation(
    name="RotateEncryptionKey", method="POST", path=f"{_OF}/keys",
    summary="Make another key of an encryption domain, which seals from now on; what is sealed stays readable.",
    perform=_rotate, body=KeyRotation, answer=EncryptionKey, status=201,
)  # fmt: skip
DESTROY = Operation(
    name="DestroyEncryptionDomain", method="POST", path=f"{_OF}/destruction",
    summary="Make a domain unusable and, once the waiting time is over and this is asked again, destroy its keys.",
    perform=_destroy, body=Destruction, answer=DomainState,
)  # fmt: skip
KEEP = Operation(
    name="KeepEncryptionDomain", method="DELETE", path=f"{_OF}/destruction",
    summary="Have a domain in use again, while its keys are there.", perform=_keep,
)  # fmt: skip

OPERATIONS = (ROTATE_ROOT, LIST, GET, ROTATE, DESTROY, KEEP)
