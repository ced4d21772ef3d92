"""The table of operations keeps the rules that every operation has."""

import string

import pytest

from control.routes import OPERATIONS, Operation
from plat.errors import ERRORS

EACH = pytest.mark.parametrize("operation", OPERATIONS, ids=lambda each: each.name)


def test_no_two_operations_share_a_name_or_a_route() -> None:
    assert len({each.name for each in OPERATIONS}) == len(OPERATIONS)
    assert len({(each.method, each.path) for each in OPERATIONS}) == len(OPERATIONS)


@EACH
def test_errors_are_known_and_listed_once(operation: Operation) -> None:
    assert set(operation.all_errors) <= ERRORS.keys()
    assert len(set(operation.all_errors)) == len(operation.all_errors)


@EACH
def test_what_has_a_body_can_refuse_it(operation: Operation) -> None:
    refusals = {"body_too_large", "unsupported_media_type"}
    assert refusals & set(operation.errors) == (refusals if operation.body is not None else set())


@EACH
def test_what_changes_something_can_fail_to_be_stored(operation: Operation) -> None:
    failures = {"disk_full", "shutting_down"}
    assert failures & set(operation.errors) == (failures if operation.method != "GET" else set())


@EACH
def test_what_names_a_function_or_version_can_miss_it(operation: Operation) -> None:
    placeholders = {name for _, name, _, _ in string.Formatter().parse(operation.path) if name}
    missing = {
        "name": "function_not_found",
        "version": "version_not_found",
        "id": "token_not_found",
        "user": "user_not_found",
        "secret": "secret_not_found",
    }
    expected = {missing[each] for each in placeholders}
    if operation.name in ("put_function", "set_secret"):  # which make it
        expected = set()
    if operation.name == "set_live":  # its body names a version
        expected.add("version_not_found")
    if operation.name == "create_token":  # its body names a user
        expected.add("user_not_found")
    assert set(missing.values()) & set(operation.errors) == expected


@EACH
def test_answers_are_successes(operation: Operation) -> None:
    assert operation.answers
    assert all(200 <= status < 300 for status in operation.answers)
    assert (operation.answers.get(204, operation) is None) == (operation.method == "DELETE")
