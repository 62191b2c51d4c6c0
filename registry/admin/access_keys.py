"""Access keys: with which programs log in. A key is reached through its owner only."""

from collections.abc import Mapping

from auth.errors import NotThere
from registry.admin.documents import Model, Time, rfc3339
from registry.admin.operation import Call, Operation
from registry.admin.services import Services
from storage.metadata.access_keys import StoredAccessKey, find_access_key
from storage.metadata.last_use import LastUsed


class AccessKey(Model):
    """An access key without its secret."""

    access_key_id: str
    user: str
    active: bool
    created_at: Time
    last_used_at: Time | None
    last_used_from: str | None


class AccessKeys(Model):
    """The access keys of a user, oldest first: two at most."""

    items: list[AccessKey]


class NewAccessKey(Model):
    """An access key with the secret, which nobody is shown again."""

    access_key_id: str
    secret_access_key: str


class AccessKeyChange(Model):
    """Whether a key lets in."""

    active: bool


async def _create(services: Services, call: Call[None, None]) -> NewAccessKey:
    key = await services.access_keys.create(call.names["user"])
    return NewAccessKey(access_key_id=key.id, secret_access_key=key.secret)


async def _list(services: Services, call: Call[None, None]) -> AccessKeys:
    keys = await services.access_keys.list(call.names["user"])
    used = await services.last_uses([key.id for key in keys])
    return AccessKeys(items=[_document(key, used.get(key.id)) for key in keys])


async def _get(services: Services, call: Call[None, None]) -> AccessKey:
    key_id = call.names["access_key"]
    found = await services.database.read(lambda c: find_access_key(c, key_id))
    if found is None:
        raise NotThere("access key", key_id)
    return _document(found, (await services.last_uses([key_id])).get(key_id))


async def _update(services: Services, call: Call[AccessKeyChange, None]) -> AccessKey:
    key_id = await _of_user(services, call.names)
    change = services.access_keys.enable if call.body.active else services.access_keys.disable
    await change(key_id)
    return await _get(services, Call(call.names, None, None, call.caller))


async def _delete(services: Services, call: Call[None, None]) -> None:
    await services.access_keys.delete(await _of_user(services, call.names))


async def _of_user(services: Services, names: "Mapping[str, str]") -> str:
    """The id of the key in the path, where it is the user's in the path; raises NotThere."""
    key_id = names["access_key"]
    found = await services.database.read(lambda c: find_access_key(c, key_id))
    if found is None or found.principal != names["user"]:
        raise NotThere("access key", key_id)
    return key_id


def _document(key: StoredAccessKey, used: LastUsed | None) -> AccessKey:
    return AccessKey(
        access_key_id=key.id,
        user=key.principal,
        active=key.is_active,
        created_at=rfc3339(key.created_at),
        last_used_at=None if used is None else rfc3339(used.used_at),
        last_used_from=None if used is None else used.source,
    )


CREATE = Operation(
    name="CreateAccessKey", method="POST", path="/users/{user}/access-keys",
    summary="Make an access key for a user, who has two at most; its secret is shown this once.",
    perform=_create, answer=NewAccessKey, status=201,
)  # fmt: skip
LIST = Operation(
    name="ListAccessKeys", method="GET", path="/users/{user}/access-keys", summary="List a user's access keys.",
    perform=_list, answer=AccessKeys,
)  # fmt: skip
GET = Operation(
    name="GetAccessKey", method="GET", path="/access-keys/{access_key}", summary="Show an access key and whose it is.",
    perform=_get, answer=AccessKey,
)  # fmt: skip
UPDATE = Operation(
    name="UpdateAccessKey", method="PATCH", path="/users/{user}/access-keys/{access_key}",
    summary="Refuse a key from the next request on, or let it in again.",
    perform=_update, body=AccessKeyChange, answer=AccessKey,
)  # fmt: skip
DELETE = Operation(
    name="DeleteAccessKey", method="DELETE", path="/users/{user}/access-keys/{access_key}",
    summary="Remove a key for good.", perform=_delete,
)  # fmt: skip

OPERATIONS = (CREATE, LIST, GET, UPDATE, DELETE)
