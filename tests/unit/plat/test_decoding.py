"""What a person is told about a wrong key or value."""

from typing import Annotated, Any

import msgspec
import pytest
from msgspec import Meta, Struct

from plat.decoding import UNREADABLE, convert, describe
from plat.errors import PlatError
from plat.model import FunctionSpec, Scale


class Nested(Struct, forbid_unknown_fields=True):
    items: list[Annotated[int, Meta(gt=0)]] = []
    few: Annotated[list[int], Meta(max_length=2)] = []
    on: bool = False
    less: Annotated[float, Meta(lt=2.5)] = 0


@pytest.mark.parametrize(
    ("value", "detail"),
    [
        (
            {"name": "A"},
            'name = "A": expected lower-case letters, digits and inner hyphens, 1 to 63 of them.',
        ),
        ({"name": "a", "scael": {}}, 'Unknown key "scael". Did you mean "scale"?'),
        ({"name": "a", "scale": {"max": 0}}, "scale.max = 0: expected a whole number from 1 to 1000."),
        ({"name": "a", "scale": {"mx": 0}}, 'Unknown key "scale.mx". Did you mean "scale.max"?'),
        ({"name": "a", "scale": 3}, "scale = 3: expected a table."),
        ({"name": "a", "runtime": "pyton"}, 'runtime = "pyton": expected "node" or "python".'),
        (
            {"name": "a", "env": {"X": 3}},
            "env.X = 3: expected text of at most 32768 characters, without",
        ),
        (
            {"name": "a", "limits": {"rate": "x"}},
            'limits.rate = "x": expected a number of more than 0 and',
        ),
        ({"name": "a", "limits": {"cpu": 0.001}}, "limits.cpu = 0.001: expected a number from 0.01 to 1024."),
        ({"name": "a", "scale": {"min": 30}}, "scale.min = 30: expected at most max, which is 20."),
        (
            {"name": "a", "scale": {"window": [{"cron": "* * * * *", "min": 1}, {"cron": "*", "min": 1}]}},
            'scale.window[1].cron = "*": expected five fields, as in crontab(5)',
        ),
        (
            {"name": "a", "scale": {"window": [{"cron": "* 24 * * *", "min": 1}]}},
            'scale.window[0].cron = "* 24 * * *": its hour is 24: expected 0 to 23',
        ),
        (
            {"name": "a", "scale": {"window": [{"corn": "* * * * *", "min": 1}]}},
            'Unknown key "scale.window[0].corn". Did you mean "scale.window[0].cron"?',
        ),
        (
            {"name": "a", "scale": {"window": [{"cron": "* * * * *", "min": 30}]}},
            "scale.window[0].min = 30: expected at most max, which is 20.",
        ),
        (
            {"name": "a", "access": {"hmac": {"header": "X-S", "secrt": "A"}}},
            'Unknown key "access.hmac.secrt". Did you mean "access.hmac.secret"?',
        ),
        (
            {"name": "a", "access": {"hmac": {"header": "X-S", "secret": "A", "algorithm": "md5"}}},
            'access.hmac.algorithm = "md5": expected "sha1" or "sha256"',
        ),
        ({"name": "a", "access": {"hmac": 3}}, "access.hmac = 3: expected a table."),
        ({}, 'The key "name" is missing: expected lower-case letters'),
        ({"name": "a", "zzz": 1}, 'Unknown key "zzz". Known keys: access, env, event, handler, limits, name'),
        ({"name": "a", "env": {"1X": "x"}}, 'Bad name "1X" in env: expected letters, digits and underscores'),
        ([], "The whole = (a list): expected a table."),
        (None, "The whole = null: expected a table."),
    ],
)
def test_spec(value: Any, detail: str) -> None:
    with pytest.raises(PlatError) as refused:
        convert(value, FunctionSpec)
    assert refused.value.code == "invalid"
    assert refused.value.detail.startswith(detail)


@pytest.mark.parametrize(
    ("value", "detail"),
    [
        ({"items": 3}, "items = 3: expected a list."),
        ({"items": [0]}, "items[0] = 0: expected a whole number of more than 0."),
        ({"items": [1, "x"]}, 'items[1] = "x": expected a whole number of more than 0.'),
        ({"few": [1, 2, 3]}, "few = (a list of 3): expected a list of at most 2."),
        ({"few": {}}, "few = (a table): expected a list of at most 2."),
        ({"on": 1}, "on = 1: expected true or false."),
        ({"less": 2.5}, "less = 2.5: expected a number of less than 2.5."),
    ],
)
def test_other_kinds(value: Any, detail: str) -> None:
    with pytest.raises(PlatError) as refused:
        convert(value, Nested)
    assert refused.value.detail == detail


def test_a_long_value_is_shown_in_part() -> None:
    with pytest.raises(PlatError) as refused:
        convert({"name": "x" * 10_000}, FunctionSpec)
    assert len(refused.value.detail) < 200


def test_what_is_right_is_typed() -> None:
    assert convert({"max": 3, "idle_s": 5}, Scale) == Scale(max=3, idle_s=5.0)


@pytest.mark.parametrize("data", [b"", b"{", b'{"a": "\xff"}', b"[" * 100_000])
def test_bytes_that_are_no_json(data: bytes) -> None:
    with pytest.raises(UNREADABLE):
        msgspec.json.decode(data)


def test_descriptions() -> None:
    assert describe(Annotated[int, Meta(ge=1, le=5)]) == "a whole number from 1 to 5"
    assert describe(Annotated[float, Meta(ge=0.5)]) == "a number of at least 0.5"
    assert describe(str) == "text"
    assert describe(int | None) == "a whole number"
