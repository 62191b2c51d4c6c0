"""The admin API is one table: its actions, its description and its documents follow from the rows, and nothing else."""

import importlib
import pkgutil
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from pydantic import BaseModel

import auth
import registry
import storage
from auth.errors import AuthError
from auth.policy.vocabulary import ACTIONS
from registry.admin.errors import TABLE
from registry.admin.facts import AdminError
from registry.admin.openapi import openapi_document
from registry.admin.operation import ROOT
from registry.admin.operations import OPERATIONS
from registry.admin.routes import ROUTES
from registry.core.errors import RegistryError
from storage.errors import StorageError

_DOCUMENT = openapi_document(OPERATIONS, "0")
_METHODS = {"GET", "POST", "PUT", "PATCH", "DELETE"}
_FAMILIES = (StorageError, AuthError, RegistryError, AdminError)


def test_every_action_is_one_that_policies_can_name() -> None:
    assert {operation.action for operation in OPERATIONS} - ACTIONS == set()


def test_every_action_is_in_the_registrys_own_name_space() -> None:
    """But for what everybody may who may log in."""
    foreign = {operation.action for operation in OPERATIONS if not operation.action.startswith("lading:")}

    assert foreign == {"ecr:GetAuthorizationToken"}


def test_operations_have_names_and_paths_of_their_own() -> None:
    names = [operation.name for operation in OPERATIONS]
    paths = [(operation.method, operation.path) for operation in OPERATIONS]

    assert len(set(names)) == len(names)
    assert len(set(paths)) == len(paths)


def test_what_is_described_is_what_is_routed() -> None:
    described = {
        (method.upper(), path)
        for path, item in _DOCUMENT["paths"].items()
        for method in item
        if method.upper() in _METHODS
    }
    routed = {(route.method, route.path) for route in ROUTES if route.path.startswith(ROOT)}

    assert described == routed


def test_every_route_of_the_admin_api_has_an_action_and_a_resource() -> None:
    """A route without a resource would be open to anybody in development mode."""
    bare = [route.path for route in ROUTES if route.path.startswith(ROOT) and not (route.actions and route.resource)]

    assert bare == []


def test_every_placeholder_is_described() -> None:
    for path, item in _DOCUMENT["paths"].items():
        for operation in item.values():
            described = {each["name"] for each in operation["parameters"] if each["in"] == "path"}
            assert described == {part[1:-1] for part in path.split("/") if part.startswith("{")}, path


def test_every_document_refuses_members_that_it_does_not_know() -> None:
    """Those within others too; a map of names that nobody fixed beforehand says what its values are."""
    schemas = _DOCUMENT["components"]["schemas"]
    lenient = [
        name
        for name, schema in schemas.items()
        if schema["type"] == "object" and schema.get("additionalProperties") is not False
    ]

    assert lenient == []
    for model in _models():
        assert model.model_config["extra"] == "forbid", model
        assert model.model_config["strict"], model


def test_every_reference_leads_to_a_schema() -> None:
    assert set(_references(_DOCUMENT)) <= {
        f"#/components/schemas/{name}" for name in _DOCUMENT["components"]["schemas"]
    }


def test_every_link_leads_to_an_operation() -> None:
    names = {operation.name for operation in OPERATIONS}
    for item in _DOCUMENT["paths"].values():
        for operation in item.values():
            for response in operation["responses"].values():
                assert {link["operationId"] for link in response.get("links", {}).values()} <= names


def test_description_is_json() -> None:
    assert orjson.loads(orjson.dumps(_DOCUMENT)) == _DOCUMENT


@pytest.mark.parametrize("family", _FAMILIES)
def test_every_fact_has_a_status(family: type[Exception]) -> None:
    """That of its nearest base, where it has none of its own; one that says what is wrong is not the server's fault."""
    for package in (storage, auth, registry):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if ".migrations" not in module.name and not module.name.endswith("__main__"):
                importlib.import_module(module.name)

    assert [fact.__name__ for fact in _facts(family) if not any(base in TABLE for base in fact.__mro__)] == []


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
def test_operation_that_changes_something_is_no_get(operation: Any) -> None:
    """And one that reads takes no body, so that it can be asked again and kept apart from changes."""
    if operation.method == "GET":
        assert operation.body is None
        assert operation.answer is not None
    if operation.method == "DELETE":
        assert operation.body is None


def _models() -> set[type[BaseModel]]:
    return {model for row in OPERATIONS for model in (row.body, row.query, row.answer) if model is not None}


def _facts(family: type[Exception]) -> Iterator[type[Exception]]:
    for fact in family.__subclasses__():
        yield fact
        yield from _facts(fact)


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if "$ref" in node:
            yield node["$ref"]
        for value in node.values():
            yield from _references(value)
    elif isinstance(node, list):
        for value in node:
            yield from _references(value)


def test_policies_can_name_the_actions_that_there_are_and_no_others() -> None:
    """An action that nothing asks for would be a policy that nobody keeps."""
    asked = {operation.action for operation in OPERATIONS if operation.action.startswith("lading:")}

    assert {action for action in ACTIONS if action.startswith("lading:")} == asked
