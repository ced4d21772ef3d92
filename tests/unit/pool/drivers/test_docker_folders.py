"""The folders of an instance: who may write where, and that nothing stays."""

import os
from pathlib import Path

import pytest

from plat.settings import Settings
from pool.drivers import folder
from pool.drivers.docker_folders import Folders
from pool.drivers.docker_spec import Place

INSTANCE = "0123456789abcdef"
USER = 1000 if os.getuid() == 0 else os.getuid()
needs_root = pytest.mark.skipif(os.getuid() != 0, reason="root: only root can take a folder from its owner")


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    return Folders(Settings(data=str(tmp_path)), Place("me", "none", 2, USER, seals=os.getuid() == 0))


def owner_and_mode(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_uid, found.st_mode & 0o777


@needs_root
def test_a_run_folder_is_the_instances_until_its_socket_is_there(folders: Folders) -> None:
    run = folders.make_run(INSTANCE)
    assert owner_and_mode(run) == (1000, 0o711)
    assert not folders.seal(INSTANCE)
    assert owner_and_mode(run) == (1000, 0o711)
    folders.socket(INSTANCE).touch()
    run.chmod(0o777)  # as the instance might
    assert folders.seal(INSTANCE)
    assert owner_and_mode(run) == (0, 0o711)
    assert folders.seal(INSTANCE)


def test_there_is_nothing_to_take_from_ones_own_user(tmp_path: Path) -> None:
    folders = Folders(Settings(data=str(tmp_path)), Place("me", "none", 2, os.getuid(), seals=False))
    run = folders.make_run(INSTANCE)
    assert owner_and_mode(run) == (os.getuid(), 0o700)
    assert folders.seal(INSTANCE)
    assert owner_and_mode(run) == (os.getuid(), 0o700)


@needs_root
def test_a_folder_that_is_gone_cannot_be_sealed(folders: Folders) -> None:
    assert not folders.seal(INSTANCE)


def test_the_code_folder_is_ours_and_open_to_read(folders: Folders) -> None:
    code = folders.make_code(INSTANCE)
    assert owner_and_mode(code) == (os.getuid(), 0o755)
    assert folders.codes.stat().st_mode & 0o777 == 0o700


def test_both_are_removed(folders: Folders) -> None:
    folders.make_run(INSTANCE)
    (folders.make_code(INSTANCE) / "main.py").touch()
    folders.remove(INSTANCE)
    assert folders.found() == []
    folders.remove(INSTANCE)


def test_what_is_the_process_drivers_stays(folders: Folders) -> None:
    folders.make_run(INSTANCE)
    theirs = folders.runs / "fedcba9876543210"
    theirs.mkdir()
    (theirs / folder.RECORD).touch()
    folders.make_code("1111111111111111")
    folders.clear(folders.found())
    assert folders.found() == [theirs]


def test_whether_a_warm_one_was_given_code(folders: Folders) -> None:
    assert not folders.has_code(INSTANCE)
    code = folders.make_code(INSTANCE)
    assert not folders.has_code(INSTANCE)
    (code / "main.py").touch()
    assert folders.has_code(INSTANCE)
