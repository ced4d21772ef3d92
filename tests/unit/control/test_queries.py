"""Query parameters: typed, and none ignored."""

import pytest
from msgspec import UNSET, Struct

from control.queries import FunctionsQuery, LogsQuery, NoQuery, VersionsQuery, decode_query
from plat.errors import PlatError


@pytest.mark.parametrize(
    ("pairs", "query"),
    [
        ([], FunctionsQuery(limit=100, after=UNSET)),
        ([("limit", "5"), ("after", "a-b")], FunctionsQuery(limit=5, after="a-b")),
        ([("after", "null")], FunctionsQuery(after="null")),
        ([("after", "5")], FunctionsQuery(after="5")),
        ([("after", "5")], VersionsQuery(after=5)),
        ([("tail", "0"), ("follow", "true")], LogsQuery(tail=0, follow=True)),
        ([("follow", "0")], LogsQuery(follow=False)),
        ([], NoQuery()),
    ],
)
def test_good_queries(pairs: list[tuple[str, str]], query: Struct) -> None:
    assert decode_query(pairs, type(query)) == query


@pytest.mark.parametrize(
    ("pairs", "kind", "words"),
    [
        ([("limit", "abc")], FunctionsQuery, 'limit = "abc": expected a whole number from 1 to 1000'),
        ([("limit", "")], FunctionsQuery, 'limit = ""'),
        ([("limit", "0")], FunctionsQuery, 'limit = "0"'),
        ([("limit", "1001")], VersionsQuery, 'limit = "1001"'),
        ([("limit", "1.5")], VersionsQuery, 'limit = "1.5"'),
        ([("after", "A")], FunctionsQuery, "lower-case"),
        ([("after", "a")], VersionsQuery, 'after = "a"'),
        ([("after", "null")], VersionsQuery, 'after = "null"'),
        ([("tail", "-1")], LogsQuery, 'tail = "-1"'),
        ([("follow", "perhaps")], LogsQuery, "expected true or false"),
        ([("limt", "1")], FunctionsQuery, 'Did you mean "limit"?'),
        ([("x", "1")], LogsQuery, "Known: tail, follow."),
        ([("x", "1")], NoQuery, "There is none here."),
        ([("limit", "1"), ("limit", "1")], FunctionsQuery, "2 times"),
    ],
)
def test_bad_queries(pairs: list[tuple[str, str]], kind: type[Struct], words: str) -> None:
    with pytest.raises(PlatError) as caught:
        decode_query(pairs, kind)
    assert caught.value.code == "invalid"
    assert words in caught.value.detail
