"""Managed policies with their versions, and the registry's own policy."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pydantic import Field

from auth.errors import NotThere
from auth.policy.document import PolicyKind
from auth.policy.findings import Severity
from auth.policy.parsing import validate_policy
from auth.policy_documents import require_managed
from registry.admin.documents import Document, Model, Name, Names, Page, ResourceDocument, Time, policy_text, rfc3339
from registry.admin.operation import Call, Operation
from registry.admin.services import Services
from storage.metadata import policies

if TYPE_CHECKING:
    from sqlalchemy import Connection


class Version(Model):
    """A version of a managed policy, without its document."""

    version: int
    is_default: bool = Field(description="Whether this is the version that counts.")
    created_at: Time


class Policy(Model):
    """A managed policy: the document that counts, and the versions that are kept."""

    name: str
    document: str
    versions: list[Version]


class NewPolicy(Model):
    """A managed policy to make."""

    name: Name
    document: Document


class NewDocument(Model):
    """A document to write, which says what its owner may do."""

    document: Document


class NewResourceDocument(Model):
    """A document to write, which says who may do what here."""

    document: ResourceDocument


class PolicyDocument(Model):
    """A policy under its name."""

    name: str
    document: str


class Chosen(Model):
    """Which version is to count."""

    version: int = Field(ge=1, le=2**31 - 1)


class ToValidate(Model):
    """A document to check, and what it is for."""

    document: Document
    kind: PolicyKind = PolicyKind.IDENTITY


class Finding(Model):
    """One thing to know about a document: where it stands, and which rule it breaks."""

    severity: Severity
    rule: str
    line: int
    field: str
    message: str


class Validated(Model):
    """Whether a document would be stored, and what there is to know about it."""

    valid: bool
    findings: list[Finding]


def load_policy(connection: "Connection", names: Mapping[str, str]) -> Policy:
    """A managed policy as it is in this transaction; raises NotThere."""
    name = names["policy"]
    document = require_managed(connection, name)
    versions = [
        Version(version=each.version, is_default=each.is_default, created_at=rfc3339(each.created_at))
        for each in policies.list_versions(connection, name)
    ]
    return Policy(name=name, document=document, versions=versions)


def load_registry_policy(connection: "Connection", names: Mapping[str, str]) -> PolicyDocument:  # noqa: ARG001 (a loader's signature)
    """The registry's policy as it is in this transaction; raises NotThere."""
    document = policies.find_registry_policy(connection)
    if document is None:
        raise NotThere("policy of", "the registry")
    return PolicyDocument(name="registry", document=document)


async def _read(services: Services, name: str) -> Policy:
    return await services.database.scan(lambda c: load_policy(c, {"policy": name}))


async def _create(services: Services, call: Call[NewPolicy, None]) -> Policy:
    await services.policies.create_managed(call.body.name, policy_text(call.body.document))
    return await _read(services, call.body.name)


async def _list(services: Services, call: Call[None, Page]) -> Names:
    page = call.query
    names = await services.database.scan(lambda c: policies.list_policies(c, after=page.after, limit=page.limit + 1))
    return Names.of(names, page)


async def _get(services: Services, call: Call[None, None]) -> Policy:
    return await _read(services, call.names["policy"])


async def _put(services: Services, call: Call[NewDocument, None]) -> Policy:
    await services.policies.put_managed(call.names["policy"], policy_text(call.body.document))
    return await _read(services, call.names["policy"])


async def _delete(services: Services, call: Call[None, None]) -> None:
    await services.policies.delete_managed(call.names["policy"])


async def _get_version(services: Services, call: Call[None, None]) -> PolicyDocument:
    name = call.names["policy"]
    document = await services.policies.find_version(name, _version(call))
    return PolicyDocument(name=name, document=document)


async def _delete_version(services: Services, call: Call[None, None]) -> None:
    await services.policies.delete_version(call.names["policy"], _version(call))


async def _choose(services: Services, call: Call[Chosen, None]) -> Policy:
    await services.policies.set_default_version(call.names["policy"], call.body.version)
    return await _read(services, call.names["policy"])


async def _get_registry(services: Services, call: Call[None, None]) -> PolicyDocument:
    return await services.database.read(lambda c: load_registry_policy(c, call.names))


async def _put_registry(services: Services, call: Call[NewResourceDocument, None]) -> PolicyDocument:
    await services.policies.put_of_registry(policy_text(call.body.document))
    return await _get_registry(services, Call({}, None, None, call.caller))


async def _delete_registry(services: Services, call: Call[None, None]) -> None:  # noqa: ARG001 (an operation's signature)
    await services.policies.delete_of_registry()


async def _validate(services: Services, call: Call[ToValidate, None]) -> Validated:  # noqa: ARG001 (an operation's signature)
    found = validate_policy(policy_text(call.body.document), call.body.kind)
    findings = [
        Finding(severity=each.severity, rule=each.rule.value, line=each.line, field=each.field, message=each.message)
        for each in found
    ]
    return Validated(valid=all(each.severity is not Severity.ERROR for each in found), findings=findings)


def _version(call: Call[None, None]) -> int:
    """The version in the path; raises NotThere for what is no number of a version."""
    text = call.names["version"]
    if not (text.isascii() and text.isdecimal() and len(text) <= 9):  # noqa: PLR2004  what 31 bits hold
        raise NotThere("policy version", f"{text[:16]} of {call.names['policy']}")
    return int(text)


CREATE = Operation(
    name="CreatePolicy", method="POST", path="/policies", summary="Make a managed policy, attached to nobody yet.",
    perform=_create, body=NewPolicy, answer=Policy, status=201, named_by=("policy", "name"),
)  # fmt: skip
LIST = Operation(
    name="ListPolicies", method="GET", path="/policies", summary="List the names of the managed policies.",
    perform=_list, query=Page, answer=Names,
)  # fmt: skip
GET = Operation(
    name="GetPolicy", method="GET", path="/policies/{policy}",
    summary="Show the document of a managed policy that counts, and its versions.",
    perform=_get, answer=Policy, load=load_policy,
)  # fmt: skip
PUT = Operation(
    name="PutPolicy", method="PUT", path="/policies/{policy}",
    summary="Write a managed policy's next version, which counts from then on; its first where there is none.",
    perform=_put, body=NewDocument, answer=Policy, load=load_policy,
)  # fmt: skip
DELETE = Operation(
    name="DeletePolicy", method="DELETE", path="/policies/{policy}",
    summary="Remove a managed policy from wherever it is attached.", perform=_delete, load=load_policy,
)  # fmt: skip
GET_VERSION = Operation(
    name="GetPolicyVersion", method="GET", path="/policies/{policy}/versions/{version}",
    summary="Show the document of one version.", perform=_get_version, answer=PolicyDocument,
)  # fmt: skip
DELETE_VERSION = Operation(
    name="DeletePolicyVersion", method="DELETE", path="/policies/{policy}/versions/{version}",
    summary="Remove a version that does not count.", perform=_delete_version, load=load_policy,
)  # fmt: skip
CHOOSE = Operation(
    name="SetDefaultPolicyVersion", method="PUT", path="/policies/{policy}/default-version",
    summary="Let another version count.", perform=_choose, body=Chosen, answer=Policy, load=load_policy,
)  # fmt: skip
GET_REGISTRY = Operation(
    name="GetRegistryPolicy", method="GET", path="/registry-policy", summary="Show the registry's policy.",
    perform=_get_registry, answer=PolicyDocument, load=load_registry_policy,
)  # fmt: skip
PUT_REGISTRY = Operation(
    name="PutRegistryPolicy", method="PUT", path="/registry-policy",
    summary="Write the policy of the registry with all its repositories.",
    perform=_put_registry, body=NewResourceDocument, answer=PolicyDocument, load=load_registry_policy,
)  # fmt: skip
DELETE_REGISTRY = Operation(
    name="DeleteRegistryPolicy", method="DELETE", path="/registry-policy", summary="Remove the registry's policy.",
    perform=_delete_registry, load=load_registry_policy,
)  # fmt: skip
VALIDATE = Operation(
    name="ValidatePolicy", method="POST", path="/policy-validation",
    summary="Say what is wrong with a document, by line, field and rule.",
    perform=_validate, body=ToValidate, answer=Validated,
)  # fmt: skip

OPERATIONS = (
    CREATE, LIST, GET, PUT, DELETE, GET_VERSION, DELETE_VERSION, CHOOSE,
    GET_REGISTRY, PUT_REGISTRY, DELETE_REGISTRY, VALIDATE,
)  # fmt: skip
