"""What a zip may hold: a table of archives to refuse, and the rules one by one."""

from zipfile import ZipInfo

import pytest

from builder.unpack import (
    MAX_LINK_HOPS,
    MAX_RATIO,
    RATIO_FREE_BYTES,
    Budget,
    Kind,
    allowed_entries,
    allowed_entry,
    check_links,
    shown,
)
from plat.errors import PlatError
from tests.unit.builder.zips import LINK, entry


def refused(pattern: str) -> "pytest.RaisesExc[PlatError]":
    return pytest.RaisesExc(PlatError, match=pattern, check=lambda error: error.code == "invalid_archive")


BAD_NAMES = [
    ("/etc/passwd", "absolute"),
    ("//server/share", "absolute"),
    ("../outside", r"has a \.\."),
    ("a/../../outside", r"has a \.\."),
    ("a/..", r"has a \.\."),
    ("..", r"has a \.\."),
    ("a\\b", "backslash"),
    ("..\\outside", "backslash"),
    ("C:/windows", "drive letter"),
    ("c:file", "drive letter"),
    ("a\x00b", "control character"),
    ("a\nb", "control character"),
    ("a\x1b[31m", "control character"),
    ("a\x7fb", "control character"),
    ("a\x85b", "control character"),
    ("a//b", "empty part"),
    ("", "empty part"),
    ("a" * 256, "longer than 255"),
    ("/".join(["a" * 200] * 6), "longer than 1024"),
    ("é" * 600, "longer than 1024"),
    ("a/" * 130 + "b", "deeper than 128"),
]


@pytest.mark.parametrize(("name", "pattern"), BAD_NAMES, ids=[shown(name)[:24] for name, _ in BAD_NAMES])
def test_a_bad_name_is_refused(name: str, pattern: str) -> None:
    info = ZipInfo(name)
    info.flag_bits |= 0x800
    with refused(pattern):
        allowed_entry(info)


def test_a_name_that_is_utf8_without_saying_so_is_taken_as_utf8() -> None:
    info = ZipInfo("grüße.py".encode().decode("cp437"))
    assert allowed_entry(info).path == "grüße.py"


def test_a_name_in_another_encoding_is_refused() -> None:
    with refused("not UTF-8"):
        allowed_entry(ZipInfo("grüße.py".encode("latin-1").decode("cp437")))


@pytest.mark.parametrize(
    ("mode", "name", "pattern"),
    [
        (0o020644, "tty", "special file"),
        (0o060644, "disk", "special file"),
        (0o010644, "pipe", "special file"),
        (0o140644, "socket", "special file"),
        (0o040755, "folder-without-slash", "disagree"),
        (0o100644, "file-with-slash/", "disagree"),
        (LINK, "link-with-slash/", "disagree"),
        (0o050000, "unknown", "special file"),
    ],
)
def test_a_special_file_is_refused(mode: int, name: str, pattern: str) -> None:
    with refused(pattern):
        allowed_entry(entry(name, mode))


@pytest.mark.parametrize("flag", [0x1, 0x40, 0x2000])
def test_an_encrypted_entry_is_refused(flag: int) -> None:
    info = entry("a")
    info.flag_bits |= flag
    with refused("encrypted"):
        allowed_entry(info)


@pytest.mark.parametrize("method", [1, 6, 9, 12, 14, 93, 99])
def test_only_stored_and_deflate_are_read(method: int) -> None:
    with refused("compressed by method"):
        allowed_entry(entry("a", method=method))


@pytest.mark.parametrize(
    ("mode", "name", "kind", "executable"),
    [
        (0, "a", Kind.FILE, False),
        (0, "a/", Kind.FOLDER, False),
        (0o100644, "a", Kind.FILE, False),
        (0o100755, "a", Kind.FILE, True),
        (0o100010, "a", Kind.FILE, True),
        (0o104644, "a", Kind.FILE, False),
        (0o040755, "a/", Kind.FOLDER, True),
        (LINK, "a", Kind.LINK, True),
    ],
)
def test_kinds(mode: int, name: str, kind: Kind, executable: bool) -> None:
    allowed = allowed_entry(entry(name, mode))
    assert (allowed.kind, allowed.executable) == (kind, executable)


@pytest.mark.parametrize(
    ("names", "pattern"),
    [
        (["a", "a"], "twice"),
        (["a", "./a"], "twice"),
        (["a", "a/"], "twice"),
        (["a/", "a/", "b"], "twice"),
        (["a", "a/b"], "which is a file"),
        (["a", "a/b/c/d"], "which is a file"),
        (["a", "a-b", "a/b"], "which is a file"),
        (["."], "names no file"),
        ([], "no files"),
        (["a/"], "no files"),
        (["./"], "no files"),
    ],
)
def test_names_that_do_not_make_a_tree_are_refused(names: list[str], pattern: str) -> None:
    with refused(pattern):
        allowed_entries([entry(name) for name in names])


def test_an_entry_below_a_link_is_refused() -> None:
    with refused("which is a link"):
        allowed_entries([entry("a", LINK), entry("a/b")])


def test_entries_come_sorted_and_without_dots() -> None:
    names = ["./", "./b", "a/z", "a/", "./a/./c", "B"]
    assert [each.path for each in allowed_entries([entry(name) for name in names])] == [
        "", "B", "a", "a/c", "a/z", "b",
    ]  # fmt: skip


BAD_LINKS = [
    ({"a": "/etc/passwd"}, "relative"),
    ({"a": "C:/x"}, "relative"),
    ({"a": ".."}, "out of the archive"),
    ({"a": "../x"}, "out of the archive"),
    ({"a/b": "../../x"}, "out of the archive"),
    ({"a": "b/../../x"}, "out of the archive"),
    ({"a/b": "..", "c": "a/b/../x"}, "out of the archive"),
    ({"a/b/c": "../..", "d": "a/b/c/.."}, "out of the archive"),
    ({"a": "b", "b": "c", "c": "../x"}, "out of the archive"),
    ({"a": "a"}, "circle"),
    ({"a": "b", "b": "a"}, "circle"),
    ({"a": "b/c", "b": "a"}, "circle"),
    ({"a": ""}, "empty"),
    ({"a": "x" * 1025}, "empty or over"),
    ({"a": "b\x00"}, "control character"),
    ({"a": "..\\x"}, "backslash"),
    ({f"l{number}": f"l{number + 1}" for number in range(MAX_LINK_HOPS + 1)}, "too many links"),
]


@pytest.mark.parametrize(("targets", "pattern"), BAD_LINKS, ids=range(len(BAD_LINKS)))
def test_a_link_that_leaves_the_tree_is_refused(targets: dict[str, str], pattern: str) -> None:
    with refused(pattern):
        check_links(targets)


@pytest.mark.parametrize(
    "targets",
    [
        {},
        {"a": "b"},
        {"a/b": "../c"},
        {"a": "."},
        {"a": "missing/file"},
        {"a/b/c": "../../d/./e//f"},
        {"a": "b", "b": "c/d", "c/e": "../a"},
        {"node_modules/.bin/tool": "../tool/cli.js"},
    ],
)
def test_a_link_that_stays_in_the_tree_is_allowed(targets: dict[str, str]) -> None:
    check_links(targets)


def test_links_that_multiply_end_in_a_refusal_soon() -> None:
    targets = {f"l{number}": "/".join(["x/.."] * 200) + f"/l{number + 1}" for number in range(35)}
    with refused("too many links"):
        check_links(targets | {f"m{number}": "l0" for number in range(2000)})


def test_the_budget_counts_what_came_out() -> None:
    budget = Budget(packed_bytes=1_000_000, unpacked_limit_bytes=100)
    budget.spend(60)
    budget.spend(40)
    with refused("more than the limit of 100 bytes"):
        budget.spend(1)


def test_the_ratio_is_bounded_beyond_a_free_amount() -> None:
    budget = Budget(packed_bytes=10, unpacked_limit_bytes=2**40)
    budget.spend(RATIO_FREE_BYTES)
    with refused("bomb"):
        budget.spend(1)
    large = Budget(packed_bytes=RATIO_FREE_BYTES, unpacked_limit_bytes=2**40)
    large.spend(RATIO_FREE_BYTES * MAX_RATIO)


def test_names_are_shown_without_their_tricks() -> None:
    assert shown("a\x1b\n") == '"a\\x1b\\n"'
    assert len(shown("a" * 5000)) < 130
