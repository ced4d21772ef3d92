"""Files to traces: every form, and what is refused with file and line."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plat.errors import PlatError
from pool.simulation.traces import read

OWN = "function,arrival_s,duration_s\n"


def refused(folder: Path, content: str | bytes) -> str:
    path = folder / "trace.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(PlatError) as caught:
        read([path])
    assert caught.value.code == "invalid"
    return caught.value.detail


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "line 1: the first line begins with"),
        ("name,time\n", "line 1: the first line begins with"),
        (OWN, "trace.csv: no call in it"),
        (OWN + "a,1\n", "line 2: 2 fields: expected 3"),
        (OWN + "a,1,2\n\nb,x,1\n", 'line 4: arrival_s = "x": expected a number'),
        (OWN + "a,1,-1\n", 'line 2: duration_s = "-1": expected a number of at least 0'),
        (OWN + "a,nan,1\n", 'line 2: arrival_s = "nan"'),
        (OWN + "a,1,inf\n", 'line 2: duration_s = "inf"'),
        (OWN + ",1,1\n", "line 2: a function without a name"),
        (OWN + '"a,1,1\n', "line 2: unexpected end of data"),
        ("function,arrival_s,duration_s,colour\n", 'line 1: unknown column "colour"'),
        (b"function,arrival_s,duration_s\n\xff,1,1\n", "trace.csv"),
    ],
)
def test_what_is_refused(tmp_path: Path, content: str | bytes, said: str) -> None:
    assert said in refused(tmp_path, content)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(PlatError, match="cannot be read: No such file"):
        read([tmp_path / "none.csv"])


def test_a_byte_order_mark_and_windows_line_ends_do_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "trace.csv"
    path.write_bytes(b"\xef\xbb\xbffunction,arrival_s,duration_s\r\na,1,2\r\n")
    assert len(read([path])) == 1


def test_two_files_are_one_trace(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).write_text(OWN + "f,1,2\n")
    trace = read([tmp_path / "a", tmp_path / "b"])
    assert (len(trace), len(trace.functions)) == (2, 1)


@given(st.binary(max_size=200))
def test_garbage_is_refused_in_words(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.mktemp("garbage") / "trace.csv"
    path.write_bytes(OWN.encode() + content)
    try:
        read([path])
    except PlatError as error:
        assert error.code == "invalid"
