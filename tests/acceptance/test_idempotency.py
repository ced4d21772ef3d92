"""One execution for one idempotency key, from outside: two routers, and whoever is killed.

Executions are counted by a file that the function appends to.
"""

import asyncio
import os
import signal
import tempfile
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import pytest

from tests.acceptance.platform import Platform, platform
from tests.integration.redis_server import RedisServer

CODE = """
import asyncio, os

async def handler(event, context):
    with open(event["file"], "a") as file:
        file.write(event["mark"] + "\\n")
    while "gate" in event and not os.path.exists(event["gate"]):
        await asyncio.sleep(0.01)
    if event.get("crash"):
        os._exit(1)
    return {"mark": event["mark"]}
"""
TOML = "[scale]\nconcurrency = 4\nmax = 2\n"
CALLS = 1000
TOLD = {(200, ""), (0, ""), (502, "idempotency_outcome_unknown"), (503, "starting")}
"""What may become of a call when a router is killed. A new router executes nothing before it knows how."""


class Answer(NamedTuple):
    """Status 0: the connection was cut."""

    status: int
    code: str
    body: Any
    replayed: bool


STORES = ["embedded", pytest.param("redis", marks=pytest.mark.redis)]


@contextmanager
def keeping(kind: str) -> Iterator[RedisServer | None]:
    """Where keys are kept; None: in the pool."""
    if kind == "embedded":
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="plat-redis-") as folder:
        server = RedisServer(Path(folder))
        try:
            server.start()
            yield server
        finally:
            server.kill()


@contextmanager
def two_routers(folder: Path, store: RedisServer | None) -> Iterator[Platform]:
    variables = {} if store is None else {"PLAT_REDIS_URL": store.url}
    with platform(folder, "process", "--routers", "2", **variables) as running:
        running.wait_for(lambda: routers_ready(running) == 2)
        running.deploy("pay", CODE, TOML)
        running.deploy("pay-token", CODE, TOML, public=False)
        yield running


@pytest.fixture(scope="module", params=STORES)
def plat(folder: Path, request: pytest.FixtureRequest) -> Iterator[Platform]:
    with keeping(request.param) as store, two_routers(folder / request.param, store) as running:
        yield running


class Caller:
    """Calls, and what was executed."""

    def __init__(self, plat: Platform, session: aiohttp.ClientSession, folder: Path) -> None:
        self._plat = plat
        self._session = session
        self.file = folder / "executions"
        self.gate = folder / "gate"
        self.key = uuid.uuid4().hex

    def executions(self) -> list[str]:
        return self.file.read_text().splitlines() if self.file.exists() else []

    async def call(
        self,
        key: str | None,
        mark: str = "a",
        *,
        gated: bool = False,
        crash: bool = False,
        function: str = "pay",
        headers: dict[str, str] | None = None,
    ) -> Answer:
        """Over a connection of its own, so that any router may take it."""
        event = {"mark": mark, "file": str(self.file), "crash": crash}
        given = {} if key is None else {"Idempotency-Key": key}
        try:
            async with self._session.post(
                f"{self._plat.url}/function/{function}",
                json=event | ({"gate": str(self.gate)} if gated else {}),
                headers={"Connection": "close", **given, **(headers or {})},
            ) as answer:
                body = await answer.json(content_type=None)
                code = body.get("code", "") if answer.status >= 400 else ""
                return Answer(answer.status, code, body, "Idempotent-Replayed" in answer.headers)
        except aiohttp.ClientError:
            return Answer(0, "", None, False)

    def begin(self, key: str, mark: str = "a") -> "asyncio.Task[Answer]":
        """A call that ends when the gate is there."""
        return asyncio.get_running_loop().create_task(self.call(key, mark, gated=True))

    async def answered(self, *given: Any, unless: tuple[int, str], **more: Any) -> Answer:
        """The first answer that is another."""
        async with asyncio.timeout(30):
            while (answer := await self.call(*given, **more))[:2] == unless:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.02)
        return answer

    async def until_executed(self, times: int = 1) -> None:
        await self._plat.until(lambda: len(self.executions()) >= times)


@asynccontextmanager
async def calling(plat: Platform, folder: Path) -> AsyncIterator[Caller]:
    connector = aiohttp.TCPConnector(limit=0, force_close=True)
    timeout = aiohttp.ClientTimeout(total=120)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        yield Caller(plat, session, folder)


@pytest.fixture
async def caller(plat: Platform, tmp_path: Path) -> AsyncIterator[Caller]:
    async with calling(plat, tmp_path) as caller:
        yield caller


async def kill_router(plat: Platform, index: int) -> None:
    """kill -9, and wait until there is another that listens."""
    before = routers_ready(plat)
    os.kill(plat.children("router")[index], signal.SIGKILL)
    await plat.until(lambda: routers_ready(plat) > before)


def routers_ready(plat: Platform) -> int:
    return plat.log.read_text().count('"router ready"')


async def test_a_thousand_calls_and_a_router_that_is_killed(plat: Platform, caller: Caller) -> None:
    await caller.call(None, "warm")
    calls = [caller.begin(caller.key) for _ in range(CALLS)]
    await caller.until_executed(2)
    await kill_router(plat, 0)
    later = [caller.begin(caller.key) for _ in range(50)]
    await asyncio.sleep(0)
    caller.gate.touch()
    answers = Counter(answer[:2] for answer in await asyncio.gather(*calls, *later))
    assert caller.executions() == ["warm", "a"]
    assert set(answers) <= TOLD, answers
    assert answers[0, ""] < CALLS, "those with the other router are answered"
    final = await caller.call(caller.key, gated=True)
    assert final.replayed or final.code == "idempotency_outcome_unknown"
    assert caller.executions() == ["warm", "a"]


@pytest.mark.parametrize("victim", [0, 1])
async def test_whichever_router_is_killed_nothing_is_executed_twice(
    plat: Platform, caller: Caller, victim: int
) -> None:
    """One of the two has made the call; all that survive are told one thing."""
    calls = [caller.begin(caller.key) for _ in range(40)]
    await caller.until_executed()
    await kill_router(plat, victim)
    starting = (503, "starting")
    told = asyncio.get_running_loop().create_task(caller.answered(caller.key, gated=True, unless=starting))
    await asyncio.wait([told], timeout=8)  # longer than a dead owner is waited for
    caller.gate.touch()
    answers = {answer[:2] for answer in await asyncio.gather(*calls, told)} - {(0, "")}
    assert answers in ({(200, "")}, {(502, "idempotency_outcome_unknown")})
    assert caller.executions() == ["a"]


async def test_what_the_second_call_gets(plat: Platform, caller: Caller) -> None:
    first = await caller.call(f'"{caller.key}"')
    assert first == Answer(200, "", {"mark": "a"}, False)
    for _ in range(8):
        assert await caller.call(caller.key) == Answer(200, "", {"mark": "a"}, True)
    assert (await caller.call(caller.key, "other"))[:2] == (422, "idempotency_key_reused")
    assert (await caller.call("a b"))[:2] == (400, "idempotency_key_invalid")
    assert (await caller.call(caller.key + "2")).replayed is False
    assert caller.executions() == ["a", "a"]


async def test_who_does_not_wait_is_told_at_once(plat: Platform, caller: Caller) -> None:
    first = caller.begin(caller.key)
    await caller.until_executed()
    for _ in range(8):
        answer = await caller.call(caller.key, gated=True, headers={"Prefer": "wait=0"})
        assert answer[:2] == (409, "idempotency_in_flight")
        assert (await caller.call(caller.key, "other"))[:2] == (422, "idempotency_key_reused")
    assert not first.done()
    caller.gate.touch()
    assert (await first).status == 200
    assert (await caller.call(caller.key, gated=True, headers={"Prefer": "wait=0"})).replayed


async def test_a_call_whose_instance_crashes_is_not_made_again(plat: Platform, caller: Caller) -> None:
    first = await caller.call(caller.key, crash=True)
    assert first[:2] == (502, "instance_crashed")
    second = await caller.call(caller.key, crash=True)
    assert (second[:2], second.replayed) == ((502, "instance_crashed"), True)
    assert second.body["call_id"] == first.body["call_id"]
    assert caller.executions() == ["a"]


async def test_callers_do_not_read_each_other_s_answers(plat: Platform, caller: Caller) -> None:
    token = plat.plat_json("token", "create", "other", "--scope", "invoke:*")["token"]
    tokens = [{"Authorization": f"Bearer {each}"} for each in (plat.token, token)]
    for number, headers in enumerate(tokens):
        given: Any = {"function": "pay-token", "headers": headers}
        # A token that a router has not heard of yet burns no key.
        answer = await caller.answered(caller.key, f"of {number}", unless=(401, "unauthorized"), **given)
        assert (answer.status, answer.replayed, answer.body) == (200, False, {"mark": f"of {number}"})
        assert (await caller.call(caller.key, f"of {number}", **given)).replayed
    assert (await caller.call(caller.key, "of 0", function="pay-token"))[:2] == (401, "unauthorized")
    # Of a public function, whoever sends other credentials is somebody else.
    ann, bob = {"Cookie": "session=ann"}, {"Cookie": "session=bob"}
    assert (await caller.call(caller.key + "c", headers=ann)).status == 200
    assert (await caller.call(caller.key + "c", headers=ann)).replayed
    assert (await caller.call(caller.key + "c", headers=bob))[:2] == (422, "idempotency_key_reused")


async def test_a_client_that_leaves_finds_the_answer_when_it_is_back(plat: Platform, caller: Caller) -> None:
    first = caller.begin(caller.key)
    await caller.until_executed()
    first.cancel()
    await asyncio.wait([first])
    caller.gate.touch()
    answer = await caller.call(caller.key, gated=True)
    assert (answer.status, answer.replayed) == (200, True)
    assert caller.executions() == ["a"]


@pytest.mark.parametrize("kind", STORES)
async def test_the_store_is_killed_in_the_middle(folder: Path, tmp_path: Path, kind: str) -> None:
    with keeping(kind) as store, two_routers(folder / f"mortal-{kind}", store) as plat:
        async with calling(plat, tmp_path) as caller:
            await store_killed(plat, caller, store)


async def store_killed(plat: Platform, caller: Caller, store: RedisServer | None) -> None:
    """Its memory is gone: what is in flight is told it again, and executed once."""
    first = caller.begin(caller.key)
    await caller.until_executed()
    waiting = [caller.begin(caller.key) for _ in range(20)]
    if store is None:
        os.kill(plat.child("core"), signal.SIGKILL)
    else:
        store.kill()
        refused = await caller.call(caller.key + "new")
        assert refused[:2] == (503, "idempotency_unavailable")
        assert caller.executions() == ["a"]
        store.start()
    later = [caller.begin(caller.key) for _ in range(20)]
    unavailable = (503, "idempotency_unavailable")
    await asyncio.wait([*later], timeout=7)  # longer than the store waits for owners
    caller.gate.touch()
    answers = {answer[:2] for answer in await asyncio.gather(first, *waiting, *later)}
    assert (await first).status == 200
    assert answers <= {(200, ""), unavailable}
    answer = await caller.answered(caller.key, gated=True, unless=unavailable)
    assert answer.replayed
    assert caller.executions() == ["a"]
