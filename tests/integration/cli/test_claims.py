"""Ports and folders, claimed for real."""

import fcntl
import os
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from cli.claims import lock_data, make_run_folder, remove_run_folder, reserve_port
from cli.failure import FailedError


class TestPort:
    def test_any_free_one(self) -> None:
        with reserve_port("127.0.0.1", 0) as one, reserve_port("127.0.0.1", 0) as two:
            assert 0 < one.getsockname()[1] != two.getsockname()[1]

    def test_one_in_use_is_named(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as other:
            port = other.getsockname()[1]
            with pytest.raises(FailedError) as failed:
                reserve_port("127.0.0.1", port)
        assert failed.value.detail == (
            f"Port {port} is in use: choose another with --port, or stop what uses it."
        )

    def test_one_that_others_share_is_in_use_too(self) -> None:
        shared = socket.create_server(("127.0.0.1", 0), reuse_port=True)
        with shared, pytest.raises(FailedError, match="is in use"):
            reserve_port("127.0.0.1", shared.getsockname()[1])

    def test_routers_can_listen_on_it_and_strangers_cannot(self) -> None:
        with reserve_port("127.0.0.1", 0) as reserved:
            address = reserved.getsockname()
            with (
                socket.create_server(address, reuse_port=True) as router,
                socket.create_connection(address) as client,
            ):
                with pytest.raises(OSError, match="in use"):
                    socket.create_server(address)
                accepted, _ = router.accept()
                accepted.close()
                assert client.recv(1) == b""

    @pytest.mark.parametrize("host", ["192.0.2.1", "no.such.host.invalid"])
    def test_an_address_that_is_not_ours(self, host: str) -> None:
        with pytest.raises(FailedError, match=f"Cannot listen on {host}, port 8080"):
            reserve_port(host, 8080)


class TestDataFolder:
    def test_it_is_made_for_us_alone(self, tmp_path: Path) -> None:
        with lock_data(tmp_path / "a" / "b"):
            assert stat.S_IMODE((tmp_path / "a" / "b").stat().st_mode) == 0o700
            assert (tmp_path / "a" / "b" / "lock").read_text() == str(os.getpid())

    def test_a_second_one_is_told_who_has_it(self, tmp_path: Path) -> None:
        with lock_data(tmp_path), pytest.raises(FailedError) as failed:
            lock_data(tmp_path)
        assert failed.value.detail == (
            f"Another plat up (pid {os.getpid()}) uses {tmp_path}: stop it, or choose another with --data."
        )
        lock_data(tmp_path).close()

    def test_services_of_one_that_was_killed_are_waited_for(self, tmp_path: Path) -> None:
        lock = (tmp_path / "lock").open("a+b")
        fcntl.flock(lock, fcntl.LOCK_EX)
        ended = subprocess.Popen([sys.executable, "-c", ""])
        ended.wait()
        lock.write(str(ended.pid).encode())
        lock.flush()
        command = [sys.executable, "-c", "import sys; sys.stdin.read(1)"]
        service = subprocess.Popen(command, stdin=subprocess.PIPE, pass_fds=[lock.fileno()])
        lock.close()  # the plat up that had it is gone: its service still has it
        try:
            probe = (tmp_path / "lock").open("rb")
            with pytest.raises(BlockingIOError):
                fcntl.flock(probe, fcntl.LOCK_EX | fcntl.LOCK_NB)
            probe.close()
            assert service.stdin is not None
            service.stdin.close()
            lock_data(tmp_path).close()
        finally:
            service.send_signal(signal.SIGKILL)
            service.wait()

    def test_a_folder_that_cannot_be_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(FailedError, match="file/data cannot be used: Not a directory"):
            lock_data(tmp_path / "file" / "data")


class TestRunFolder:
    def test_made_and_removed(self, tmp_path: Path) -> None:
        folder = tmp_path / "run"
        make_run_folder(folder)
        make_run_folder(folder)
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        (folder / "pool.sock").touch()
        (folder / "instances").mkdir()
        remove_run_folder(folder)
        assert list(tmp_path.iterdir()) == []
        remove_run_folder(folder)

    def test_one_of_an_earlier_time_is_made_ours_alone(self, tmp_path: Path) -> None:
        (tmp_path / "run").mkdir(mode=0o755)
        make_run_folder(tmp_path / "run")
        assert stat.S_IMODE((tmp_path / "run").stat().st_mode) == 0o700

    def test_a_link_somebody_laid_there_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "theirs").mkdir()
        (tmp_path / "run").symlink_to("theirs")
        with pytest.raises(FailedError, match="is not ours"):
            make_run_folder(tmp_path / "run")

    def test_sockets_of_living_instances_are_kept(self, tmp_path: Path) -> None:
        socket_ = tmp_path / "run" / "instances" / "ab" / "http.sock"
        socket_.parent.mkdir(parents=True)
        socket_.touch()
        (tmp_path / "run" / "pool.sock").touch()
        remove_run_folder(tmp_path / "run")
        assert socket_.exists()
        assert not (tmp_path / "run" / "pool.sock").exists()
