"""A child's copies of pages, made before it writes to them."""

import ctypes
import mmap
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from runtimes.python.plat_runtime import own_pages
from runtimes.python.plat_runtime.page_writes import PAGE_BYTES
from tests.unit.runtimes.python.test_page_writes import PAGES, memory, written_in_a_child

__all__ = ["memory"]


def at(memory: mmap.mmap) -> int:
    return ctypes.addressof(ctypes.c_char.from_buffer(memory))


def test_they_are_its_own_and_say_what_they_said(memory: mmap.mmap, monkeypatch: pytest.MonkeyPatch) -> None:
    before = bytes(memory)
    take = [(at(memory) + PAGE_BYTES, 2 * PAGE_BYTES)]
    fork = os.fork

    def fork_and_take() -> int:
        pid = fork()
        if pid == 0:
            own_pages.take(take)
            assert bytes(memory) == before
        return pid

    monkeypatch.setattr(os, "fork", fork_and_take)
    assert written_in_a_child(memory, [5]) == [1, 2, 5]


def test_what_is_not_there_is_left_alone() -> None:
    gone = mmap.mmap(-1, PAGES * PAGE_BYTES)
    where = at(gone)
    own_pages.take([(where, PAGE_BYTES), (0, PAGE_BYTES)])


class Instance(threading.Thread):
    """Answers what comes with `said`, connection by connection, until it has none left."""

    def __init__(self, path: str, said: list[list[bytes]]) -> None:
        super().__init__(daemon=True)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen()
        self.said = said
        self.heard: list[bytes] = []

    def run(self) -> None:
        with self.listener:
            open_ = [self.listener.accept()[0]]
            self.answer(open_[0], self.said[0])
            open_ += [self.listener.accept()[0] for _ in self.said[1:]]
            for sock, said in zip(open_[1:], self.said[1:], strict=True):
                self.answer(sock, said)
            for sock in open_:
                sock.close()

    def answer(self, sock: socket.socket, said: list[bytes]) -> None:
        for each in said:
            self.heard.append(sock.recv(65536))
            sock.sendall(each)


def body(text: bytes, status: bytes = b"200 OK") -> bytes:
    return b"HTTP/1.1 %b\r\ncontent-length: %d\r\n\r\n%b" % (status, len(text), text)


@pytest.fixture
def watched(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[own_pages.Watched]:
    monkeypatch.setenv("TMPDIR", str(data_dir))
    watched = own_pages.Watched()
    yield watched
    watched.clear()
    assert not list(data_dir.iterdir())


def ask(watched: own_pages.Watched, *said: list[bytes]) -> own_pages.Pages:
    instance = Instance(watched.order["env"]["PLAT_SOCKET"], list(said))
    instance.start()
    try:
        return watched.ask()
    finally:
        instance.join(5)
        assert not instance.is_alive()


def test_it_tells_its_pages(watched: own_pages.Watched) -> None:
    pages = ask(watched, [body(b"{}")], [], [body(b"{}"), body(b"[[4096, 8192]]")])
    assert list(pages) == [(4096, 8192)]


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"no HTTP\r\n\r\n",
        body(b"no JSON"),
        body(b"[[4096, 8192]]")[:-3],
        body(b"[]", b"500 Internal Server Error"),
        b"HTTP/1.1 200 OK\r\n\r\n[]",
    ],
)
def test_any_other_answer_is_an_error(watched: own_pages.Watched, answer: bytes) -> None:
    with pytest.raises((OSError, ValueError)):
        ask(watched, [body(b"{}")], [], [body(b"{}"), answer])


def test_one_that_does_not_come(watched: own_pages.Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_pages, "PATIENCE_S", 0.01)
    with pytest.raises(OSError):
        watched.ask()


def test_a_path_that_is_too_long_for_a_socket(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = data_dir / ("x" * 100)
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    watched = own_pages.Watched()
    with pytest.raises(OSError, match="too long"):
        watched.ask()
    watched.clear()
    assert not list(folder.iterdir())
