"""Signing keys: which there are, and letting another follow."""

from pydantic import Field

from auth.keys import ES256, Algorithm
from auth.signing_keys import MOST_DELAY_SECONDS, KeyState, ListedKey
from registry.admin.documents import Model, Time, rfc3339
from registry.admin.operation import Call, Operation
from registry.admin.services import Services


class SigningKey(Model):
    """A signing key without its secret.

    It signs from `signs_from` on, until one made later does; from `retires_at` on, what it signed is refused.
    """

    kid: str
    algorithm: str
    state: KeyState
    created_at: Time
    signs_from: Time
    retires_at: Time | None


class SigningKeys(Model):
    """Every signing key, oldest first."""

    items: list[SigningKey]


class Rotation(Model):
    """What kind of key follows, and when it begins to sign."""

    algorithm: Algorithm = ES256
    signs_in_seconds: float = Field(
        default=0, ge=0, le=MOST_DELAY_SECONDS, description="How long it is published before it signs."
    )


async def _rotate(services: Services, call: Call[Rotation, None]) -> SigningKey:
    return _document(await services.signing_keys.rotate(call.body.algorithm, call.body.signs_in_seconds))


async def _list(services: Services, call: Call[None, None]) -> SigningKeys:  # noqa: ARG001 (every operation takes one)
    return SigningKeys(items=[_document(key) for key in await services.signing_keys.list()])


async def _retire(services: Services, call: Call[None, None]) -> None:
    await services.signing_keys.retire(call.names["signing_key"])


def _document(key: ListedKey) -> SigningKey:
    return SigningKey(
        kid=key.kid,
        algorithm=key.algorithm,
        state=key.state,
        created_at=rfc3339(key.created_at),
        signs_from=rfc3339(key.signs_from),
        retires_at=None if key.retires_at is None else rfc3339(key.retires_at),
    )


ROTATE = Operation(
    name="RotateSigningKey", method="POST", path="/signing-keys",
    summary="Make another key that signs, now or later; what was signed before stays valid until it expires.",
    perform=_rotate, body=Rotation, answer=SigningKey, status=201,
)  # fmt: skip
LIST = Operation(
    name="ListSigningKeys", method="GET", path="/signing-keys", summary="List the keys that sign and verify tokens.",
    perform=_list, answer=SigningKeys,
)  # fmt: skip
RETIRE = Operation(
    name="RetireSigningKey", method="DELETE", path="/signing-keys/{signing_key}",
    summary="Refuse at once whatever a key signed, after its secret got out; another must have followed it.",
    perform=_retire,
)  # fmt: skip

OPERATIONS = (ROTATE, LIST, RETIRE)
