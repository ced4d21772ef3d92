"""The folder of an instance: whole from the first moment, and read back as it was written."""

from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from pool.drivers.folder import RECORD, Folder, Record, folders, remove_unfinished
from tests.unit.pool.drivers.orders import a_warm_order, an_order

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def a_record() -> Record:
    order = an_order()
    return Record.of(order.instance, order.version, NOW)


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    folder = Folder(tmp_path, a_record().instance)
    folder.make(a_record())
    assert folder.read() == a_record()
    started = msgspec.structs.replace(a_record(), pid=42, started=123456)
    folder.write(started)
    assert folder.read() == started
    assert folder.tmp.is_dir()
    assert folder.path.stat().st_mode & 0o777 == 0o700


def test_a_shorter_record_leaves_nothing_of_the_longer_one_and_no_other_file(tmp_path: Path) -> None:
    folder = Folder(tmp_path, a_record().instance)
    long = msgspec.structs.replace(a_record(), function="f" * 63, version_id="v" * 64, pid=4194304)
    folder.make(long)
    folder.write(a_record())
    assert folder.read() == a_record()
    folder.write(long)
    assert folder.read() == long
    assert sorted(path.name for path in folder.path.iterdir()) == ["instance.json", "tmp"]


def test_who_runs_there(tmp_path: Path) -> None:
    folder = Folder(tmp_path, a_record().instance)
    running = folder.running(a_record())
    assert running.address == f"unix:{tmp_path}/0123456789abcdef/http.sock"
    assert (running.function, running.number, running.version_id) == ("hello", 7, "version-1")
    assert (running.started_at, running.managed) == (NOW, True)


def test_a_warm_one_has_a_kind_until_it_has_a_version(tmp_path: Path) -> None:
    order, warm = an_order(memory_mb=96), a_warm_order(memory_mb=96)
    folder = Folder(tmp_path, warm.instance)
    record = Record.of_warm(warm.instance, warm.kind, NOW).run_by(42, 123456)
    folder.make(record)
    assert folder.read() == record
    running = folder.running(record)
    assert (running.kind, running.function, running.number, running.version_id) == (warm.kind, "", 0, "")
    placed = record.with_version(order.version)
    assert placed == Record.of(order.instance, order.version, NOW).run_by(42, 123456)
    assert (placed.kind, placed.memory_mb) == (None, 96)


def test_a_folder_without_a_record_is_not_one_of_a_process(tmp_path: Path) -> None:
    (tmp_path / "0123456789abcdef").mkdir()
    assert Folder(tmp_path, "0123456789abcdef").read() is None
    assert Folder(tmp_path, "gone").read() is None


def test_what_a_killed_pool_left_unfinished_is_no_instance_and_goes(tmp_path: Path) -> None:
    Folder(tmp_path, "b").make(a_record())
    (tmp_path / ".a.1234" / "tmp").mkdir(parents=True)
    assert [folder.instance for folder in folders(tmp_path)] == ["b"]
    remove_unfinished(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


def test_it_is_removed_with_all_that_the_function_left(tmp_path: Path) -> None:
    folder = Folder(tmp_path, "b")
    folder.make(a_record())
    (folder.tmp / "locked").mkdir()
    (folder.tmp / "locked" / "file").touch()
    (folder.tmp / "locked").chmod(0o500)
    folder.remove()
    folder.remove()
    assert list(tmp_path.iterdir()) == []


def test_one_that_cannot_be_made_leaves_nothing(tmp_path: Path) -> None:
    folder = Folder(tmp_path, a_record().instance)
    (folder.path / "in the way").mkdir(parents=True)
    with pytest.raises(OSError, match="not empty"):
        folder.make(a_record())
    assert list(tmp_path.iterdir()) == [folder.path]


def test_one_whose_removal_is_cut_short_is_no_instance_and_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Folder(tmp_path, "b")
    folder.make(a_record())
    with monkeypatch.context() as patched, pytest.raises(InterruptedError):
        patched.setattr("pool.drivers.folder.remove_tree", interrupted)
        folder.remove()
    assert folders(tmp_path) == []
    remove_unfinished(tmp_path)
    assert list(tmp_path.iterdir()) == []


def interrupted(path: Path) -> None:
    (path / RECORD).unlink()
    raise InterruptedError
