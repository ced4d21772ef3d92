"""Deploys: what is made, what is refused, and what is left when something goes wrong half-way."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from control.database import open_engine
from plat.errors import PlatError
from plat.tasks import cancel, spawn
from tests.integration.control.platform import Platform, code, platform_in, settings_in, until
from tests.unit.builder.zips import zip_of


async def test_a_deploy_makes_a_version_and_makes_it_live(platform: Platform) -> None:
    await platform.call.create("hello", env={"A": "1"}, limits={"memory_mb": 64})
    answer = await platform.call.deploy("hello")
    assert answer.status == 201
    version = answer.json
    assert (version["version"], version["state"], version["live"]) == (1, "ready", True)
    assert (version["spec"]["memory_mb"], version["spec"]["env"]) == (64, {"A": "1"})
    assert platform.artifacts == {version["digest"]}
    assert [(each.number, each.digest) for each in platform.pool.verified] == [(1, version["digest"])]
    function = (await platform.call("GET", "/v1/functions/hello")).json
    assert function["live"] == 1
    assert platform.leftovers == []


async def test_a_second_deploy_gets_the_next_number(platform: Platform) -> None:
    await platform.call.create("hello")
    await platform.call.deploy("hello", code("v1"))
    second = await platform.call.deploy("hello", code("v2"))
    assert (second.status, second.json["version"]) == (201, 2)
    page = (await platform.call("GET", "/v1/functions/hello/versions")).json
    assert [(each["version"], each["live"]) for each in page["items"]] == [(2, True), (1, False)]


async def test_unchanged_code_and_spec_make_no_version(platform: Platform) -> None:
    await platform.call.create("hello")
    await platform.call.deploy("hello")
    same_tree = zip_of(("folder/", ""), ("./main.py", "def handler(event, context):\n    return 'v1'\n"))
    again = await platform.call.deploy("hello", same_tree)
    assert (again.status, again.json["version"], again.json["unchanged"]) == (200, 1, True)
    assert len(platform.pool.verified) == 1


async def test_the_same_code_under_another_spec_is_a_new_version(platform: Platform) -> None:
    await platform.call.create("hello")
    await platform.call.deploy("hello")
    await platform.call("PUT", "/v1/functions/hello", {"scale": {"max": 5}, "limits": {"rate": 3}})
    assert (await platform.call.deploy("hello")).json["unchanged"]
    await platform.call("PUT", "/v1/functions/hello", {"env": {"A": "2"}})
    assert (await platform.call.deploy("hello")).json["version"] == 2


async def test_a_failed_verification_leaves_the_old_version_live(platform: Platform) -> None:
    await platform.call.create("hello")
    await platform.call.deploy("hello")
    platform.pool.problem = PlatError("handler_import_failed", "No.", traceback="ValueError: no")
    refused = await platform.call.deploy("hello", code("v2"))
    assert refused.status == 422
    assert (refused.json["code"], refused.json["traceback"]) == ("handler_import_failed", "ValueError: no")
    assert refused.headers["X-Call-Id"] == refused.json["call_id"]
    assert (await platform.call("GET", "/v1/functions/hello")).json["live"] == 1
    failed = (await platform.call("GET", "/v1/functions/hello/versions/2")).json
    assert failed["state"] == "failed"
    assert failed["error"] == {
        "code": "handler_import_failed",
        "detail": "No.",
        "traceback": "ValueError: no",
    }
    platform.pool.problem = None
    assert (await platform.call.deploy("hello", code("v2"))).json["version"] == 3


async def test_a_bad_archive_makes_no_version(platform: Platform) -> None:
    await platform.call.create("hello")
    refused = await platform.call.deploy("hello", zip_of(("../x", "x")))
    assert (refused.status, refused.json["code"]) == (422, "invalid_archive")
    assert (await platform.call("GET", "/v1/functions/hello/versions")).json["items"] == []
    assert platform.artifacts == set()
    assert (await platform.call.deploy("hello")).status == 201


async def test_a_second_deploy_at_the_same_time_is_refused(platform: Platform) -> None:
    await platform.call.create("hello")
    await platform.call.create("other")
    platform.pool.hold()
    first = spawn(platform.call.deploy("hello"), "first")
    await platform.pool.asked.wait()
    second = await platform.call.deploy("hello")
    assert (second.status, second.json["code"]) == (409, "deploy_in_progress")
    other = spawn(platform.call.deploy("other"), "other")
    platform.pool.release()
    assert (await first).status == (await other).status == 201


async def test_of_many_deploys_at_once_one_wins_and_numbers_have_no_gap(platform: Platform) -> None:
    await platform.call.create("hello")
    answers = await asyncio.gather(*(platform.call.deploy("hello", code(f"v{n}")) for n in range(12)))
    assert {answer.status for answer in answers} <= {201, 409}
    page = (await platform.call("GET", "/v1/functions/hello/versions")).json["items"]
    made = sorted(answer.json["version"] for answer in answers if answer.status == 201)
    assert made == sorted(each["version"] for each in page) == list(range(1, len(page) + 1))


async def test_a_client_that_leaves_during_the_upload_leaves_nothing(platform: Platform) -> None:
    await platform.call.create("hello")
    arrived = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        yield code()[:50]
        arrived.set()
        await asyncio.Event().wait()

    upload = spawn(platform.call.deploy("hello", endless()), "upload")
    await arrived.wait()
    await until(lambda: len(platform.leftovers) > 0)
    await cancel(upload)
    await until(lambda: platform.leftovers == [])
    assert (await platform.call("GET", "/v1/functions/hello/versions")).json["items"] == []
    await _until_deployed(platform, "hello")


async def test_a_deploy_whose_client_leaves_after_the_upload_comes_to_its_end(platform: Platform) -> None:
    await platform.call.create("hello")
    platform.pool.hold()
    upload = spawn(platform.call.deploy("hello"), "upload")
    await platform.pool.asked.wait()
    await cancel(upload)
    platform.pool.release()
    await until(lambda: len(platform.pool.verified) == 1)
    again = await _until_deployed(platform, "hello")
    assert again["unchanged"]


async def test_stopping_control_during_a_deploy_marks_it_failed(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    async with platform_in(settings) as platform:
        await platform.call.create("hello")
        platform.pool.hold()
        upload = spawn(platform.call.deploy("hello"), "upload")
        await platform.pool.asked.wait()
    with pytest.raises(Exception, match=r"disconnected|Connection"):
        await upload
    engine = open_engine(settings.database)
    async with engine.connect() as connection:
        rows = (await connection.exec_driver_sql("select state from versions")).all()
    await engine.dispose()
    assert [tuple(row) for row in rows] == [("failed",)]


async def test_a_deploy_to_a_stopped_function_is_verified_and_leaves_it_stopped(platform: Platform) -> None:
    await platform.call.create("hello")
    await platform.call("POST", "/v1/functions/hello/stop")
    assert (await platform.call.deploy("hello")).status == 201
    assert len(platform.pool.verified) == 1
    function = (await platform.call("GET", "/v1/functions/hello")).json
    assert (function["live"], function["stopped"]) == (1, True)


async def test_deleting_during_a_deploy(platform: Platform) -> None:
    await platform.call.create("hello")
    platform.pool.hold()
    deploy = spawn(platform.call.deploy("hello"), "deploy")
    await platform.pool.asked.wait()
    assert (await platform.call("DELETE", "/v1/functions/hello")).status == 204
    platform.pool.release()
    answer = await deploy
    assert (answer.status, answer.json["code"]) == (404, "function_not_found")
    assert "deleted during its deploy" in answer.json["detail"]
    await until(lambda: platform.artifacts == set())


async def test_a_function_made_again_during_a_deploy_is_not_touched_by_it(platform: Platform) -> None:
    await platform.call.create("hello")
    platform.pool.hold()
    deploy = spawn(platform.call.deploy("hello"), "deploy")
    await platform.pool.asked.wait()
    await platform.call("DELETE", "/v1/functions/hello")
    await platform.call.create("hello")
    platform.pool.release()
    assert (await deploy).status == 404
    assert (await platform.call("GET", "/v1/functions/hello")).json["live"] is None


async def test_an_upload_to_a_function_that_was_made_again_meanwhile_is_refused(platform: Platform) -> None:
    await platform.call.create("hello")
    arrived, go_on = asyncio.Event(), asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield code()[:50]
        arrived.set()
        await go_on.wait()
        yield code()[50:]

    deploy = spawn(platform.call.deploy("hello", body()), "deploy")
    await arrived.wait()
    await until(lambda: len(platform.leftovers) > 0)
    await platform.call("DELETE", "/v1/functions/hello")
    await platform.call.create("hello")
    go_on.set()
    assert (await deploy).json["code"] == "function_not_found"
    assert platform.pool.verified == []
    await until(lambda: platform.artifacts == set())


async def test_without_a_pool_the_version_fails(platform: Platform) -> None:
    await platform.call.create("hello")
    await platform.pool.stop()
    answer = await platform.call.deploy("hello")
    assert (answer.status, answer.json["code"]) == (503, "pool_unavailable")
    assert answer.headers["Retry-After"] == "1"
    failed = (await platform.call("GET", "/v1/functions/hello/versions/1")).json
    assert (failed["state"], failed["error"]["code"]) == ("failed", "pool_unavailable")
    await platform.pool.start(platform.settings.pool)
    assert (await platform.call.deploy("hello")).json["version"] == 2


async def test_without_a_builder_nothing_is_made(platform: Platform) -> None:
    assert platform.settings.builder.path
    Path(platform.settings.builder.path).rename(platform.settings.builder.path + ".away")
    await platform.call.create("hello")
    answer = await platform.call.deploy("hello")
    assert (answer.status, answer.json["code"]) == (503, "builder_unavailable")
    assert (await platform.call("GET", "/v1/functions/hello/versions")).json["items"] == []
    Path(platform.settings.builder.path + ".away").rename(platform.settings.builder.path)
    assert (await platform.call.deploy("hello")).status == 201


async def test_an_upload_over_the_limit_is_refused_before_it_is_read(tmp_path: Path) -> None:
    async with platform_in(settings_in(tmp_path, archive_limit_bytes=1000)) as platform:
        await platform.call.create("hello")
        read = asyncio.Event()

        async def body() -> AsyncIterator[bytes]:
            read.set()
            yield b""

        headers = {"Content-Length": "1001", "Expect": "100-continue"}
        answer = await platform.call.deploy("hello", body(), headers=headers)
        assert (answer.status, answer.json["code"]) == (413, "body_too_large")
        assert not read.is_set()


async def test_an_upload_without_a_length_is_cut_at_the_limit(tmp_path: Path) -> None:
    async with platform_in(settings_in(tmp_path, archive_limit_bytes=1000)) as platform:
        await platform.call.create("hello")

        async def body() -> AsyncIterator[bytes]:
            for _ in range(100):
                yield bytes(100)

        answer = await platform.call.deploy("hello", body())
        assert (answer.status, answer.json["code"]) == (413, "body_too_large")
        await until(lambda: platform.leftovers == [])


async def test_a_client_that_waits_for_the_go_ahead_gets_it(platform: Platform) -> None:
    await platform.call.create("hello")
    answer = await platform.call.deploy("hello", headers={"Expect": "100-continue"})
    assert answer.status == 201


async def test_only_zips_are_taken(platform: Platform) -> None:
    await platform.call.create("hello")
    answer = await platform.call.deploy("hello", b"{}", headers={"Content-Type": "application/json"})
    assert (answer.status, answer.json["code"]) == (415, "unsupported_media_type")


async def test_deleting_a_function_deletes_what_only_it_used(platform: Platform) -> None:
    for name in ("one", "two"):
        await platform.call.create(name)
        await platform.call.deploy(name, code("shared"))
    own = (await platform.call.deploy("one", code("own"))).json["digest"]
    shared = (platform.artifacts - {own}).pop()
    await platform.call("DELETE", "/v1/functions/one")
    assert platform.artifacts == {shared}
    await platform.call("DELETE", "/v1/functions/two")
    assert platform.artifacts == set()


async def test_an_artifact_that_a_running_deploy_shares_is_kept(platform: Platform) -> None:
    for name in ("one", "two"):
        await platform.call.create(name)
    await platform.call.deploy("one")
    platform.pool.hold()
    deploy = spawn(platform.call.deploy("two"), "deploy")
    await platform.pool.asked.wait()
    await platform.call("DELETE", "/v1/functions/one")
    platform.pool.release()
    digest = (await deploy).json["digest"]
    assert platform.artifacts == {digest}


async def test_an_unknown_function_cannot_be_deployed(platform: Platform) -> None:
    for name in ("missing", "No_Name"):
        answer = await platform.call.deploy(name)
        assert (answer.status, answer.json["code"]) == (404, "function_not_found")


async def _until_deployed(platform: Platform, name: str) -> dict[str, object]:
    """Deploy until the deploy before it has let go of the function."""
    async with asyncio.timeout(20):
        while (answer := await platform.call.deploy(name)).status == 409:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
    assert answer.status in (200, 201)
    return dict(answer.json)
