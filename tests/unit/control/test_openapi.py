"""The document: complete, and in agreement with the table of operations."""

import json
from typing import Any

import pytest

from control.api import Api
from control.openapi import document
from control.routes import OPERATIONS, Operation
from plat.errors import ERRORS


@pytest.fixture(scope="module")
def described() -> dict[str, Any]:
    return document()


def operation_in(described: dict[str, Any], operation: Operation) -> dict[str, Any]:
    found: dict[str, Any] = described["paths"][operation.path][operation.method.lower()]
    return found


def test_it_is_json(described: dict[str, Any]) -> None:
    assert json.loads(json.dumps(described)) == described
    assert described["openapi"] == "3.1.0"


def test_every_reference_has_its_schema(described: dict[str, Any]) -> None:
    names = {part.split('"')[0] for part in json.dumps(described).split("#/components/schemas/")[1:]}
    assert names <= described["components"]["schemas"].keys()


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda each: each.name)
def test_every_operation_is_described(operation: Operation, described: dict[str, Any]) -> None:
    found = operation_in(described, operation)
    assert found["operationId"] == operation.name
    assert found["summary"].endswith(".")
    assert {int(status) for status in found["responses"]} == {
        *operation.answers,
        *(ERRORS[code].status for code in operation.all_errors),
    }
    assert ("requestBody" in found) == (operation.body is not None)


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda each: each.name)
def test_every_problem_lists_its_codes(operation: Operation, described: dict[str, Any]) -> None:
    codes = []
    for answer in operation_in(described, operation)["responses"].values():
        if "application/problem+json" in answer.get("content", {}):
            schema = answer["content"]["application/problem+json"]["schema"]
            codes += schema["properties"]["code"]["enum"]
            assert all(f"`{code}`" in answer["description"] for code in schema["properties"]["code"]["enum"])
    assert sorted(codes) == sorted(operation.all_errors)


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda each: each.name)
def test_every_operation_has_its_handler(operation: Operation) -> None:
    assert callable(getattr(Api, operation.name))


def test_no_handler_is_left_out() -> None:
    handlers = {name for name in vars(Api) if not name.startswith("_")}
    assert handlers == {operation.name for operation in OPERATIONS}


def test_a_token_is_needed_everywhere(described: dict[str, Any]) -> None:
    assert described["security"] == [{"token": []}]
    assert described["components"]["securitySchemes"]["token"] == {"type": "http", "scheme": "bearer"}
    for operation in OPERATIONS:
        answers = operation_in(described, operation)["responses"]
        assert "WWW-Authenticate" in answers["401"]["headers"]
        assert "security" not in operation_in(described, operation)


def test_the_name_in_a_spec_is_optional(described: dict[str, Any]) -> None:
    body = described["paths"]["/v1/functions/{name}"]["put"]["requestBody"]
    schema = body["content"]["application/json"]["schema"]
    assert "required" not in schema
    assert schema["additionalProperties"] is False
    assert schema["properties"].keys() >= {"name", "runtime", "handler", "scale", "limits", "access", "env"}


def test_parameters(described: dict[str, Any]) -> None:
    parameters = described["paths"]["/v1/functions/{name}/logs"]["get"]["parameters"]
    assert [(each["name"], each["in"], each["required"]) for each in parameters] == [
        ("name", "path", True),
        ("tail", "query", False),
        ("follow", "query", False),
    ]
