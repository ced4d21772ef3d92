"""Which scope opens which operation."""

import pytest

from control.permissions import require
from control.routes import OPERATIONS, Operation
from plat.errors import PlatError
from tests.unit.control.fakes import token_row

BY_NAME = {operation.name: operation for operation in OPERATIONS}


def may(operation: Operation, function: str | None, *scopes: str) -> bool:
    try:
        require(token_row(scopes=scopes), operation, function)
    except PlatError as error:
        assert error.code == "forbidden"
        return False
    return True


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda each: each.name)
def test_an_admin_may_everything_and_nobody_else_what_is_the_admins(operation: Operation) -> None:
    function = "hello" if "{name}" in operation.path else None
    assert may(operation, function, "admin")
    assert may(operation, function, "read", "deploy:*", "invoke:*") == (operation.needs != "admin")
    assert may(operation, function) == (operation.needs == "any")


@pytest.mark.parametrize(
    ("operation", "scopes", "allowed"),
    [
        ("deploy", ("deploy:hello",), True),
        ("deploy", ("deploy:h*",), True),
        ("deploy", ("deploy:other",), False),
        ("deploy", ("read", "invoke:hello"), False),
        ("delete_function", ("deploy:h*",), True),
        ("get_function", ("read",), True),
        ("get_function", ("deploy:hello",), True),
        ("get_function", ("deploy:other",), False),
        ("get_function", ("invoke:hello",), False),
        ("read_logs", ("read",), True),
    ],
)
def test_scopes_for_one_function(operation: str, scopes: tuple[str, ...], allowed: bool) -> None:
    assert may(BY_NAME[operation], "hello", *scopes) is allowed


def test_who_deploys_some_functions_does_not_see_all() -> None:
    assert not may(BY_NAME["list_functions"], None, "deploy:*")
    assert may(BY_NAME["list_functions"], None, "read")


def test_what_is_missing_is_named() -> None:
    with pytest.raises(PlatError, match=r'the scope "deploy:hello".*the token "token 0123"'):
        require(token_row(scopes=("read",)), BY_NAME["deploy"], "hello")
    with pytest.raises(PlatError, match='the scope "read"'):
        require(token_row(scopes=()), BY_NAME["get_function"], "hello")


def test_only_what_looks_after_oneself_needs_no_scope() -> None:
    free = {each.name for each in OPERATIONS if each.needs == "any"}
    assert free == {"read_openapi", "create_token", "list_tokens", "get_token", "revoke_token"}
