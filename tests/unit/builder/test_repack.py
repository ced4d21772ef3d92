"""The canonical artifact, and whole archives that must be refused whatever their headers say."""

import io
import stat
import threading
from pathlib import Path
from zipfile import ZIP_BZIP2, ZIP_LZMA, ZIP_STORED, ZipFile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builder.repack import CancelledRepackError, repack
from builder.unpack import MAX_ENTRIES
from plat.errors import PlatError
from tests.unit.builder import zips
from tests.unit.builder.zips import LINK, entry, links, zip_of

LIMIT = 50_000_000


def repacked(data: bytes, folder: Path, limit: int = LIMIT) -> bytes:
    upload = folder / "upload.zip"
    upload.write_bytes(data)
    output = io.BytesIO()
    repack(upload, output, limit, threading.Event())
    return output.getvalue()


GOOD = zip_of(("main.py", "print(1)\n" * 50), (entry("bin/run", 0o100755), "#!/bin/sh\n"), ("a/b/c.txt", "c"))

BAD_ARCHIVES: dict[str, bytes] = {
    "nothing": b"",
    "text": b"this is no zip",
    "gzip": b"\x1f\x8b\x08" + bytes(60),
    "end record only": zips.end_record(0, 0, 0),
    "folders only": zip_of(("a/", ""), ("a/b/", "")),
    "cut at the end": GOOD[:-10],
    "cut in the middle": GOOD[: len(GOOD) // 2],
    "cut at the start": GOOD[20:],
    "first bytes overwritten": bytes(40) + GOOD[40:],
    "encrypted": zips.with_flag(GOOD, 0x1),
    "strongly encrypted": zips.with_flag(GOOD, 0x41),
    "patched data": zips.with_flag(GOOD, 0x20),
    "absolute path": zip_of(("/etc/cron.d/x", "x")),
    "parent": zip_of(("../x", "x")),
    "parent inside": zip_of(("a/../../x", "x")),
    "backslash": zips.renamed("a-b", b"a\\b"),
    "drive letter": zip_of(("C:/x", "x")),
    "NUL": zips.renamed("a-b", b"a\0b"),
    "line break": zip_of(("a\nb", "x")),
    "latin-1": zips.renamed("a-b", b"a\xe9b"),
    "bad UTF-8 with its flag": zips.with_flag(zips.renamed("a-b", b"a\xe9b"), 0x800),
    "cut UTF-8": zips.renamed("a-b", b"ab\xc3"),
    "twice": zips.renamed("a1", b"a2", ("a2", "y")),
    "file and folder": zip_of(("a", "x"), ("a/b", "y")),
    "file and empty folder": zip_of(("a", "x"), ("a/", "")),
    "link absolute": links(("l", "/etc/passwd")),
    "link out": links(("l", "../x")),
    "link out from below": links(("a/l", "../../x")),
    "link out by a chain": links(("a/up", ".."), ("l", "a/up/../x")),
    "link to itself": links(("l", "l")),
    "links in a circle": links(("l", "m"), ("m", "l")),
    "link empty": links(("l", "")),
    "link not UTF-8": zip_of((entry("l", LINK), b"\xff\xfe")),
    "link too long": links(("l", "x" * 100_000)),
    "entry below a link": zip_of((entry("l", LINK), "d"), ("d/x", "x"), ("l/y", "y")),
    "device": zip_of((entry("d", 0o020666), "")),
    "block device": zip_of((entry("d", 0o060666), "")),
    "pipe": zip_of((entry("d", stat.S_IFIFO | 0o666), "")),
    "socket": zip_of((entry("d", stat.S_IFSOCK | 0o666), "")),
    "long path": zip_of(("/".join(["a" * 200] * 6), "x")),
    "bzip2": zip_of((entry("a", method=ZIP_BZIP2), "x")),
    "lzma": zip_of((entry("a", method=ZIP_LZMA), "x")),
    "unknown method": zips.with_method(GOOD, 77),
    "wrong CRC": zips.with_crc(GOOD, 12345),
    "wrong CRC of a link": zips.with_crc(links(("l", "file")), 12345),
    "claims less than it holds": zips.with_size(GOOD, 3),
    "claims more than it holds": zips.with_size(GOOD, 10_000),
    "claims 4 GB": zips.with_size(GOOD, 0xFFFFFFFE),
    "bomb by ratio": zip_of(("a", bytes(20_000_000))),
    "bomb that claims to be small": zips.with_size(zip_of(("a", bytes(20_000_000))), 10),
    "bomb by many files": zip_of(*((f"{n}", bytes(200_000)) for n in range(100))),
    "bomb by overlap": zips.overlapping(5),
    "entry inside another": zips.quoting(),
    "crowded": zips.crowded(MAX_ENTRIES + 1),
    "very crowded": zips.crowded(700_000),
}


@pytest.mark.parametrize("name", BAD_ARCHIVES)
def test_a_bad_archive_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(PlatError) as caught:
        repacked(BAD_ARCHIVES[name], tmp_path)
    assert caught.value.code == "invalid_archive"
    assert caught.value.detail.endswith(".")
    assert [path.name for path in tmp_path.iterdir()] == ["upload.zip"]


def test_more_than_the_limit_is_refused(tmp_path: Path) -> None:
    data = zip_of(("a", bytes(600)), ("b", bytes(600)))
    with pytest.raises(PlatError, match="more than the limit of 1000 bytes"):
        repacked(data, tmp_path, limit=1000)
    assert repacked(data, tmp_path, limit=1200)


def test_too_many_entries_are_refused(tmp_path: Path) -> None:
    with pytest.raises(PlatError, match="more than 20000 entries"):
        repacked(zip_of(*((f"{n}", "") for n in range(MAX_ENTRIES + 1))), tmp_path)


def test_the_artifact_is_in_canonical_form(tmp_path: Path) -> None:
    data = zip_of(
        ("z.py", "z"),
        ("folder/", ""),
        (entry("folder/tool", 0o100700), "#!"),
        (entry("a-link", LINK), "folder/tool"),
        (entry("odd", 0o104666), "x" * 1000),
        ("./grüße", "hi"),
    )
    with ZipFile(io.BytesIO(repacked(data, tmp_path))) as archive:
        shape = [(each.filename, each.external_attr >> 16) for each in archive.infolist()]
        assert shape == [
            ("a-link", 0o120777),
            ("folder/tool", 0o100755),
            ("grüße", 0o100644),
            ("odd", 0o100644),
            ("z.py", 0o100644),
        ]
        assert all(each.compress_type == ZIP_STORED for each in archive.infolist())
        assert {each.date_time for each in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert archive.read("a-link") == b"folder/tool"
        assert archive.read("odd") == b"x" * 1000
        assert archive.testzip() is None


def test_equal_trees_make_equal_bytes(tmp_path: Path) -> None:
    one = zip_of(("a", "1"), (entry("b", 0o100644, ZIP_STORED), "2"), ("c/", ""))
    other = zip_of(("c/", ""), (entry("b", 0o100600), "2"), ("./a", "1"))
    assert repacked(one, tmp_path) == repacked(other, tmp_path)
    assert repacked(one, tmp_path) == repacked(repacked(one, tmp_path), tmp_path)


def test_a_zip_behind_other_bytes_is_read(tmp_path: Path) -> None:
    assert repacked(b"#!/usr/bin/env python3\n" + GOOD, tmp_path) == repacked(GOOD, tmp_path)


def test_cancelling_ends_it(tmp_path: Path) -> None:
    upload = tmp_path / "upload.zip"
    upload.write_bytes(GOOD)
    cancelled = threading.Event()
    cancelled.set()
    with pytest.raises(CancelledRepackError):
        repack(upload, io.BytesIO(), LIMIT, cancelled)


def test_a_full_disk_is_told_apart_from_a_bad_archive(tmp_path: Path) -> None:
    upload = tmp_path / "upload.zip"
    upload.write_bytes(zip_of(("a", "x" * 1_000_000)))
    with (
        pytest.raises(OSError, match="No space left"),
        Path("/dev/full").open("r+b", buffering=0) as full,
    ):
        repack(upload, full, LIMIT, threading.Event())


@settings(max_examples=400, derandomize=True, deadline=None)
@given(
    changes=st.lists(st.tuples(st.integers(0, len(GOOD) - 1), st.integers(0, 255)), min_size=1, max_size=6),
    cut=st.integers(0, len(GOOD)),
)
def test_damaged_archives_are_refused_or_read_and_nothing_else(
    changes: list[tuple[int, int]], cut: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    damaged = bytearray(GOOD)
    for at, value in changes:
        damaged[at] = value
    data = bytes(damaged[:cut] if cut < len(GOOD) // 4 else damaged)
    try:
        repacked(data, tmp_path_factory.getbasetemp())
    except PlatError as error:
        assert error.code == "invalid_archive"
