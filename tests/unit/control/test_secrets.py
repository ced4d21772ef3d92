"""Secrets in a database: sealed there, in the feed for those who name them, and never in an answer."""

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from control.keyring import Keyring
from control.secret_book import SecretBook
from control.secrets import Secrets, open_secrets
from control.store import Store
from plat.errors import PlatError
from plat.feed import FunctionPut
from plat.model import Access, FunctionSpec, Hmac, VersionSpec
from plat.settings import Settings
from tests.unit.control.fakes import KEY, ToldFeed, function_row, version_row

SPEC = FunctionSpec(name="hello", secrets=["DB_URL"])


class Bench:
    def __init__(self, store: Store, settings: Settings) -> None:
        self.store, self.feed, self.book = store, ToldFeed(), SecretBook()
        self.keyring = Keyring(settings)
        self.secrets = Secrets(store, self.feed, self.book, self.keyring)

    async def deploy(self, spec: FunctionSpec = SPEC) -> None:
        async with self.store.changing() as tables:
            await tables.add_function(function_row(spec.name, spec=spec, live=1))
            await tables.add_version(version_row(1, spec.name, spec=VersionSpec.of(spec)))

    def told(self) -> list[tuple[str, dict[str, str]]]:
        found = [each.function for each in self.feed.told if isinstance(each, FunctionPut)]
        return [(each.name, each.versions[0].secrets.by_name) for each in found]


@pytest.fixture
async def bench(store: Store, tmp_path: Path) -> AsyncIterator[Bench]:
    bench = Bench(store, Settings(data=str(tmp_path)))
    yield bench
    await bench.secrets.close()


async def test_a_value_goes_in_sealed_and_nothing_comes_out(bench: Bench) -> None:
    secret, created = await bench.secrets.set("DB_URL", "hunter2-value")
    again, created_again = await bench.secrets.set("DB_URL", "other-value")
    assert (created, created_again) == (True, False)
    assert again.created_at == secret.created_at and again.updated_at >= secret.updated_at
    async with bench.store.reading() as tables:
        (row,) = await tables.secrets("", 10)
    assert b"value" not in row.sealed
    shown = msgspec.json.encode([secret, again, await bench.secrets.page(10, "")])
    assert b"hunter2" not in shown and b"other-value" not in shown


async def test_pages_go_by_name(bench: Bench) -> None:
    for name in ("C", "A", "B"):
        await bench.secrets.set(name, "v")
    first = await bench.secrets.page(2, "")
    assert ([each.name for each in first.items], first.next) == (["A", "B"], "B")
    second = await bench.secrets.page(2, "B")
    assert ([each.name for each in second.items], second.next) == (["C"], None)


async def test_those_who_name_it_are_told_and_nobody_else(bench: Bench) -> None:
    await bench.deploy()
    await bench.deploy(FunctionSpec(name="other", secrets=["DB_URL2"], env={"A": "b"}))
    await bench.secrets.set("DB_URL", "one")
    await bench.secrets.set("DB_URL", "two")
    assert bench.told() == [("hello", {"DB_URL": "one"}), ("hello", {"DB_URL": "two"})]


async def test_one_that_is_used_stays(bench: Bench) -> None:
    await bench.secrets.set("DB_URL", "one")
    await bench.deploy()
    with pytest.raises(PlatError, match='"hello" uses the secret "DB_URL"') as caught:
        await bench.secrets.delete("DB_URL")
    assert caught.value.code == "secret_in_use"
    bench.book.require(["DB_URL"])


async def test_one_that_only_a_former_version_names_can_go(bench: Bench) -> None:
    await bench.secrets.set("DB_URL", "one")
    await bench.deploy()
    async with bench.store.changing() as tables:
        await tables.add_version(version_row(2))
        await tables.change_function(function_row(live=2))
    await bench.secrets.delete("DB_URL")
    with pytest.raises(PlatError, match="no secret"):
        bench.book.require(["DB_URL"])
    with pytest.raises(PlatError) as caught:
        await bench.secrets.delete("DB_URL")
    assert caught.value.code == "secret_not_found"


async def test_a_start_reads_them_all(bench: Bench) -> None:
    await bench.secrets.set("A", "alpha")
    book = await open_secrets(bench.store, bench.keyring)
    assert book.values(["A"]).by_name == {"A": "alpha"}


async def test_a_key_of_our_own_is_replaced_and_the_former_forgotten(bench: Bench) -> None:
    before, _ = await bench.secrets.set("A", "alpha")
    await bench.secrets.set("B", "beta")
    rotation = await bench.secrets.rotate()
    assert rotation.secrets == 2 and rotation.key != before.key
    assert {each.key for each in (await bench.secrets.page(10, "")).items} == {rotation.key}
    book = await open_secrets(bench.store, bench.keyring)
    assert book.values(["A", "B"]).by_name == {"A": "alpha", "B": "beta"}


async def test_a_rotation_that_fails_leaves_the_keys_as_they_are(bench: Bench, tmp_path: Path) -> None:
    """However often it is tried, also where only the last secret cannot be read."""
    await bench.secrets.set("A", "alpha")
    await bench.secrets.set("B", "beta")
    async with bench.store.changing() as tables:
        _, row = await tables.secrets("", 10)
        await tables.change_secret(msgspec.structs.replace(row, key="0" * 16))
    before = (tmp_path / "secret.key").read_bytes()
    for _ in range(2):
        with pytest.raises(PlatError, match=r'secret "B" is not at hand.*Nothing was changed'):
            await bench.secrets.rotate()
    assert (tmp_path / "secret.key").read_bytes() == before
    assert (await bench.secrets.set("B", "beta"))[0].key != "0" * 16
    assert (await bench.secrets.rotate()).secrets == 2


async def test_a_given_key_is_replaced_by_giving_another_first(store: Store) -> None:
    other = KEY[::-1].lstrip("=")[:43] + "="
    former = Bench(store, Settings(secret_key=KEY))
    await former.secrets.set("A", "alpha")
    both = Bench(store, Settings(secret_key=f"{other},{KEY}"))
    assert (await both.secrets.rotate()).secrets == 1
    book = await open_secrets(store, Keyring(Settings(secret_key=other)))
    assert book.values(["A"]).by_name == {"A": "alpha"}


async def test_with_another_key_it_is_said_which_cannot_be_read(store: Store, tmp_path: Path) -> None:
    await Bench(store, Settings(secret_key=KEY)).secrets.set("A", "alpha")
    lost = Bench(store, Settings(data=str(tmp_path)))
    book = await open_secrets(store, lost.keyring)
    with pytest.raises(PlatError, match='secret "A" is not at hand'):
        book.require(["A"])
    with pytest.raises(PlatError, match="Nothing was changed"):
        await lost.secrets.rotate()


async def test_what_signs_calls_is_told_and_stays_like_any_other(bench: Bench) -> None:
    await bench.secrets.set("GITHUB", "one")
    hmac = Hmac("X-Hub-Signature-256", ["GITHUB", "OLD"])
    await bench.deploy(FunctionSpec(name="hook", access=Access(auth="public", hmac=hmac)))
    await bench.secrets.set("GITHUB", "two")
    (told,) = [each.function for each in bench.feed.told if isinstance(each, FunctionPut)]
    assert told.signing is not None and told.signing.keys == (b"two",)
    assert told.versions[0].secrets.by_name == {}  # the function itself does not get it
    with pytest.raises(PlatError, match='"hook" uses the secret "GITHUB"'):
        await bench.secrets.delete("GITHUB")
