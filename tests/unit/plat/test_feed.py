"""Every message is the same after the wire, and only what belongs on a stream decodes there."""

import msgspec
import pytest

from plat import feed
from plat.model import FunctionSpec, VersionSpec
from plat.parts import PART_BYTES

SPEC = VersionSpec.of(FunctionSpec(name="hello", env={"GREETING": "hi"}))
VERSION = feed.VersionEntry(id="v1", function="hello", number=3, digest="ab" * 32, spec=SPEC)
FUNCTION = feed.FunctionEntry("hello", 3, False, "token", 0, 20, 60.0, 100.0, 200, (VERSION,))
ROUTE = feed.Route("hello", None, True, "public", 60.0, None, None, (feed.RouteVersion("v1", 3, 8, 30.0),))

TOKEN = feed.TokenEntry("t1", "cd" * 32, ("read", "invoke:*"), 1e9)

FROM_CONTROL = [
    feed.Table(),
    feed.TokensPart([TOKEN]),
    feed.TokensPart([], last=True),
    feed.TokenPut(TOKEN),
    feed.TokenDropped("t1"),
    feed.TablePart([FUNCTION]),
    feed.TablePart([], last=True),
    feed.FunctionPut(FUNCTION),
    feed.FunctionDropped("hello"),
]
TO_ROUTER = [
    feed.Routes(),
    feed.TokensPart([TOKEN]),
    feed.TokenPut(TOKEN),
    feed.TokenDropped("t1"),
    feed.RoutesPart([ROUTE]),
    feed.RoutesPart([], last=True),
    feed.RoutePut(ROUTE),
    feed.RouteDropped("hello"),
    feed.Grant("i1", "v1", "unix:/run/http.sock", 8),
    feed.Reclaim("i1", 2),
    feed.Gone("i1", "out_of_memory", "The process was killed for memory."),
    feed.StartFailed("v1", "instance_start_failed", "It exits.", "exited"),
]
FROM_ROUTER = [
    feed.Hello("router-0", [feed.Held("i1", 8)]),
    feed.Demand("v1", 3, 8, grants_seen=2),
    feed.Returned("i1", 2, 1.5),
    feed.Faulted("i1", "timeout"),
    feed.TokensUsed({"t1": 1.5}),
]


@pytest.mark.parametrize("message", FROM_CONTROL, ids=lambda each: type(each).__name__)
def test_from_control(message: feed.FromControl) -> None:
    assert feed.decode_from_control(feed.encode(message)) == message


@pytest.mark.parametrize("message", TO_ROUTER, ids=lambda each: type(each).__name__)
def test_to_router(message: feed.ToRouter) -> None:
    assert feed.decode_to_router(feed.encode(message)) == message


@pytest.mark.parametrize("message", FROM_ROUTER, ids=lambda each: type(each).__name__)
def test_from_router(message: feed.FromRouter) -> None:
    assert feed.decode_from_router(feed.encode(message)) == message


def test_what_control_hears() -> None:
    used = feed.TokensUsed({"t1": 1.5})
    assert feed.decode_from_pool(feed.encode(used)) == used
    with pytest.raises(msgspec.DecodeError):
        feed.decode_from_pool(feed.encode(FROM_ROUTER[0]))


def test_ten_thousand_tokens_are_told_in_small_parts() -> None:
    tokens = [feed.TokenEntry(f"{number:016}", "cd" * 32, ("invoke:*",)) for number in range(10_000)]
    parts = list(feed.tokens_in_parts(tokens))
    assert [token for part in parts for token in part.tokens] == tokens
    assert max(len(feed.encode(part)) for part in parts) < 2 * PART_BYTES


@pytest.mark.parametrize("data", [b"", b"\x00", b"\x80", feed.encode(FROM_ROUTER[0])])
def test_what_does_not_belong_on_the_stream_is_refused(data: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        feed.decode_to_router(data)


def test_an_unlimited_instance_is_granted_more_slots_than_a_router_can_use() -> None:
    assert feed.UNLIMITED_SLOTS > 65_536


def test_no_text_of_secrets_shows_them() -> None:
    secrets = feed.SecretValues({"A": "hunter22", "B": "hunter22-and-more", "SHORT": "abc"})
    assert "hunter22" not in f"{secrets} {msgspec.structs.replace(VERSION, secrets=secrets)!r}"


def test_secrets_are_hidden_in_a_text_the_longest_first_and_not_what_is_in_any_text() -> None:
    secrets = feed.SecretValues({"A": "hunter22", "B": "hunter22-and-more", "SHORT": "abc"})
    text = "hunter22-and-more, hunter22 and abc"
    assert secrets.hidden_in(text) == "[secret B], [secret A] and abc"
    assert feed.NO_SECRETS.hidden_in(text) == text
