"""A script in a real Redis whose clock is the test's."""

from collections.abc import Sequence
from itertools import count
from typing import Any

_scripts = count()


class ClockedScript:
    """Instead of the server's time it reads a key. `tag` begins the names of all its keys, and is its own."""

    def __init__(self, client: Any, script: str) -> None:
        self.tag = f"{{test-{next(_scripts)}}}"
        clocked = script.replace("redis.call('TIME')", f"redis.call('LRANGE', '{self.tag}clock', 0, -1)")
        assert clocked != script
        self._client = client
        self._run = client.register_script(clocked)

    def run(self, names: Sequence[str], given: Sequence[Any], now: float) -> list[bytes]:
        clock, micro = f"{self.tag}clock", round(now * 1e6)
        self._client.delete(clock)
        self._client.rpush(clock, micro // 1_000_000, micro % 1_000_000)
        answer: list[bytes] = self._run([self.tag + name for name in names], given)
        return answer
