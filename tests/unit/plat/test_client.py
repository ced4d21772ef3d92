"""The client's own decisions: paths, and lines out of chunks. Its calls are in the integration tests."""

from collections.abc import AsyncIterator

import pytest

from plat.client import PlatClient, _lines, call_path, function_path
from plat.errors import PlatError


@pytest.mark.parametrize(
    ("path", "version", "expected"),
    [
        ("/", None, "/function/hello"),
        ("", None, "/function/hello"),
        ("/a/b?c=d", None, "/function/hello/a/b?c=d"),
        ("a/b", None, "/function/hello/a/b"),
        ("?x=1", None, "/function/hello?x=1"),
        ("/", 3, "/function/hello:3"),
        ("/a", 3, "/function/hello:3/a"),
        ("/a b/ä#c?d=%2F&e=[1]+2", None, "/function/hello/a%20b/%C3%A4%23c?d=%2F&e=[1]+2"),
    ],
)
def test_where_a_function_is_called(path: str, version: int | None, expected: str) -> None:
    assert call_path("hello", path, version) == expected


@pytest.mark.parametrize("name", ["", "..", "a/b", "A", "a?b", "hello\n"])
def test_a_name_that_would_lead_elsewhere_is_never_sent(name: str) -> None:
    for make in (function_path, call_path):
        with pytest.raises(PlatError) as refused:
            make(name)
        assert refused.value.code == "invalid"
        assert "lower-case letters" in refused.value.detail


@pytest.mark.parametrize(
    ("chunks", "lines"),
    [
        ([], []),
        ([b"a\nb\n"], [b"a", b"b"]),
        ([b"a", b"b\nc", b"\n"], [b"ab", b"c"]),
        ([b"a\n\n\nb"], [b"a", b"b"]),
        ([b"x" * 200_000, b"\n"], [b"x" * 200_000]),
    ],
)
async def test_lines_of_any_length(chunks: list[bytes], lines: list[bytes]) -> None:
    async def source() -> AsyncIterator[bytes]:
        for chunk in chunks:
            yield chunk

    assert [line async for line in _lines(source())] == lines


async def test_used_without_with_it_says_how() -> None:
    with pytest.raises(RuntimeError, match="async with PlatClient"):
        await PlatClient("http://127.0.0.1:1", "token").list()
