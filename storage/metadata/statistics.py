"""How much there is, in numbers; each takes as long as there is much to count."""

from sqlalchemy import Connection, func, select, text

from storage.metadata.activity_schema import upload
from storage.metadata.blobs import BlobState
from storage.metadata.schema import USERS, access_key, blob, manifest, policy, principal, repository, tag, user_group


def count_registry(connection: Connection) -> dict[str, int]:
    """What the registry's database holds; bytes are those of the copies that are served."""
    served = select(func.count(), func.coalesce(func.sum(blob.c.size), 0)).where(blob.c.state == BlobState.STORED.value)
    blobs, blob_bytes = connection.execute(served).one()
    tables = {
        "repositories": repository,
        "manifests": manifest,
        "image_tags": tag,
        "groups": user_group,
        "policies": policy,
        "access_keys": access_key,
    }
    counted = {
        name: connection.execute(select(func.count()).select_from(table)).scalar_one() for name, table in tables.items()
    }
    principals = select(func.count()).select_from(principal)
    counted["users"] = connection.execute(principals.where(text(USERS))).scalar_one()
    counted["roles"] = connection.execute(principals.where(principal.c.kind == "role")).scalar_one()
    return {**counted, "blobs": blobs, "blob_bytes": int(blob_bytes)}


def count_uploads(connection: Connection) -> int:
    """How many uploads are under way."""
    count: int = connection.execute(select(func.count()).select_from(upload)).scalar_one()
    return count
