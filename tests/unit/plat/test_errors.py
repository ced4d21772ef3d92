"""The table of errors, the problem documents made of it, and the page that lists it."""

import re
from pathlib import Path

import msgspec
import pytest

from plat.errors import ERRORS, PROBLEM_TYPE_PREFIX, PlatError, retry_after_value
from plat.model import Problem

PAGE = Path(__file__).parents[3] / "docs" / "errors.md"
ROW = re.compile(r"^\| `([a-z_]+)` \| (\d{3}) \| ([a-z]+) \| ([^|]+?) \|", re.MULTILINE)


@pytest.mark.parametrize("code", ERRORS)
def test_every_code_is_a_word_with_an_error_status(code: str) -> None:
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", code)
    assert 400 <= ERRORS[code].status <= 599
    assert ERRORS[code].title[0].isupper()
    assert not ERRORS[code].title.endswith(".")


def test_the_page_lists_the_table_row_by_row() -> None:
    table = [(code, str(kind.status), kind.fault.value, kind.title) for code, kind in ERRORS.items()]
    assert ROW.findall(PAGE.read_text()) == table


def test_problem_is_rfc_9457_with_our_members() -> None:
    error = PlatError("instance_crashed", "The process exited.", reason="out_of_memory", traceback="Tb")
    document = msgspec.to_builtins(error.problem("call-1"))
    assert document == {
        "type": PROBLEM_TYPE_PREFIX + "instance_crashed",
        "title": "The instance ended during the call",
        "status": 502,
        "detail": "The process exited.",
        "code": "instance_crashed",
        "call_id": "call-1",
        "reason": "out_of_memory",
        "traceback": "Tb",
    }


def test_what_is_not_known_is_left_out() -> None:
    document = msgspec.to_builtins(PlatError("internal", "Oh.").problem())
    assert set(document) == {"type", "title", "status", "detail", "code"}


def test_an_error_survives_the_way_over_the_wire() -> None:
    sent = PlatError("timeout", "Too slow.", reason="deadline", traceback="Tb")
    received = PlatError.from_problem(sent.problem())
    assert (received.code, received.detail, received.status) == ("timeout", "Too slow.", 504)
    assert (received.reason, received.traceback) == ("deadline", "Tb")


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("7", 7.0), ("0", 0.0), (None, None), ("", None), ("-1", None), ("²", None), ("Fri, 01 Jan", None)],
)
def test_when_to_try_again_survives_in_its_header(header: str | None, seconds: float | None) -> None:
    problem = PlatError("shutting_down", "Bye.").problem()
    assert PlatError.from_problem(problem, header).retry_after_s == seconds


def test_an_unknown_code_is_internal() -> None:
    problem = Problem(type="urn:plat:error:new", title="New", status=418, detail="Tea.", code="new")
    assert PlatError.from_problem(problem).code == "internal"


def test_an_unlisted_code_cannot_be_raised() -> None:
    with pytest.raises(KeyError):
        PlatError("no_such_code", "detail")


@pytest.mark.parametrize(
    ("seconds", "value"), [(0, "1"), (0.2, "1"), (1, "1"), (1.01, "2"), (2.0, "2"), (59.5, "60"), (-3, "1")]
)
def test_retry_after_is_whole_seconds_rounded_up(seconds: float, value: str) -> None:
    assert retry_after_value(seconds) == value
