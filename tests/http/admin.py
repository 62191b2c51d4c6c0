"""The admin API as its clients call it, and a registry in which every operation can be tried."""

import json
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from registry.admin.operation import AnyOperation
from tests.http.client import ADMIN, Answer, Headers, Registry

READERS: Final = {
    "Version": "2012-10-17",
    "Statement": [{"Sid": "read", "Effect": "Allow", "Action": "ecr:BatchGetImage", "Resource": "*"}],
}
ANYBODY: Final = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "ecr:BatchGetImage", "Resource": "*"}],
}
TRUST: Final = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}],
}
NAMES: Final = {
    "user": "alice",
    "group": "crew",
    "role": "builder",
    "policy": "readers",
    "version": "1",
    "repository": "team/app",
    "provider": "issuer.example.com/ci",
    "service_token": "ci",
    "domain": "alias/team",
}
"""What is there after `furnish`, beside an access key of alice and a signing key that signs no longer."""

FURNISHED: Final = "furnished.json"
"""The file with the names, in the data directory of a registry that was furnished for many tests."""

BODIES: Final[Mapping[str, Mapping[str, Any]]] = {
    "CreateUser": {"name": "dora"},
    "UpdateUser": {"tags": {"team": "payments"}},
    "SetPassword": {"password": "a better one"},
    "UpdateAccessKey": {"active": False},
    "CreateGroup": {"name": "guests"},
    "CreateRole": {"name": "runner", "trust_policy": TRUST},
    "AssumeRole": {"session_name": "nightly"},
    "UpdateRole": {"max_session_seconds": 900},
    "PutTrustPolicy": {"document": TRUST},
    "CreateIdentityProvider": {"issuer": "https://other.example.com", "audiences": ["registry"]},
    "UpdateIdentityProvider": {"audiences": ["registry", "other"]},
    "CreateServiceToken": {"name": "deploy"},
    "RevokeToken": {"id": "00000000-0000-0000-0000-000000000000"},
    "RotateSigningKey": {"algorithm": "EdDSA"},
    "RotateEncryptionKey": {"reencrypt": False},
    "DestroyEncryptionDomain": {"after_seconds": 3600},
    "CreatePolicy": {"name": "writers", "document": READERS},
    "PutPolicy": {"document": READERS},
    "PutUserPolicy": {"document": READERS},
    "PutRolePolicy": {"document": READERS},
    "PutGroupPolicy": {"document": READERS},
    "PutUserPermissionsBoundary": {"policy": "readers"},
    "PutRolePermissionsBoundary": {"policy": "readers"},
    "SetDefaultPolicyVersion": {"version": 1},
    "PutRegistryPolicy": {"document": ANYBODY},
    "ValidatePolicy": {"document": READERS},
    "CreateRepository": {"name": "team/web"},
    "UpdateRepository": {"tags": {"team": "payments"}},
    "PutRepositoryPolicy": {"document": ANYBODY},
    "SimulatePolicy": {"user": "alice", "action": "ecr:PutImage", "resource": "team/app"},
}
"""What to send with each operation that wants a document."""


async def call(
    registry: Registry,
    method: str,
    path: str,
    document: object = None,
    *,
    headers: Headers = (),
    authorization: str | None = ADMIN,
) -> Answer:
    """Send a request to the admin API, with a JSON document if there is one."""
    if document is None:
        return await registry.ask(method, f"/admin/v1{path}", headers=headers, authorization=authorization)
    content = document if isinstance(document, bytes) else json.dumps(document).encode()
    headers = [("Content-Type", "application/json"), *headers]
    return await registry.ask(method, f"/admin/v1{path}", body=content, headers=headers, authorization=authorization)


async def done(registry: Registry, method: str, path: str, document: object = None) -> Any:
    """Do as the root user what must succeed; what was answered, None where that is nothing."""
    answer = await call(registry, method, path, document)
    assert 200 <= answer.status < 300, answer.body
    return answer.document if answer.body else None


async def perform(
    registry: Registry, operation: AnyOperation, names: Mapping[str, str], authorization: str | None = ADMIN
) -> Answer:
    """Do an operation as it can be done after `furnish`."""
    path = operation.path.format(**{kind: quote(name, safe="") for kind, name in names.items()})
    return await call(registry, operation.method, path, BODIES.get(operation.name), authorization=authorization)


def problem(answer: Answer) -> Any:
    """The document of a refusal, which must be problem details as RFC 9457 has them."""
    assert answer.headers["Content-Type"] == "application/problem+json"
    document = answer.document
    assert {"type", "title", "status", "detail", "code", "request_id"} <= document.keys()
    assert document["type"] == "about:blank"
    assert document["status"] == answer.status
    assert document["detail"]
    return document


def code(answer: Answer) -> tuple[int, str]:
    """Status and code of a refusal."""
    return answer.status, problem(answer)["code"]


async def furnish(registry: Registry) -> dict[str, str]:
    """Make one of everything, so that no operation fails for want of what it is about; returns the names."""
    await done(registry, "POST", "/users", {"name": "alice", "tags": {"team": "web"}})
    key = await done(registry, "POST", "/users/alice/access-keys")
    await done(registry, "POST", "/groups", {"name": "crew"})
    await done(registry, "PUT", "/groups/crew/members/alice")
    await done(registry, "POST", "/roles", {"name": "builder", "trust_policy": TRUST})
    for _version in (1, 2):
        await done(registry, "PUT", "/policies/readers", {"document": READERS})
    for owner in ("users/alice", "groups/crew", "roles/builder"):
        await done(registry, "PUT", f"/{owner}/inline-policies/readers", {"document": READERS})
        await done(registry, "PUT", f"/{owner}/attached-policies/readers")
    await done(registry, "PUT", "/registry-policy", {"document": ANYBODY})
    await done(registry, "POST", "/repositories", {"name": "team/app"})
    await done(registry, "PUT", "/repositories/team%2Fapp/policy", {"document": ANYBODY})
    vault = {"name": "vault", "encryption": {"type": "KMS", "kms_key": "alias/team"}}
    await done(registry, "POST", "/repositories", vault)
    await done(registry, "DELETE", "/repositories/vault")  # a domain outlives its repositories
    await done(registry, "POST", "/users/alice/service-tokens", {"name": "ci"})
    issuer = {"issuer": "https://issuer.example.com/ci", "audiences": ["registry"]}
    await done(registry, "POST", "/identity-providers", issuer)
    await done(registry, "POST", "/signing-keys", {})
    signing_key = (await done(registry, "GET", "/signing-keys"))["items"][0]
    return {**NAMES, "access_key": key["access_key_id"], "signing_key": signing_key["kid"]}


def names_of(registry: Registry) -> dict[str, str]:
    """The names in a registry that was furnished; tests ask for one with the marker of that name."""
    names: dict[str, str] = json.loads((registry.root / FURNISHED).read_text())
    return names
