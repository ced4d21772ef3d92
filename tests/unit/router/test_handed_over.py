"""Calls of pages and signed calls: handed over untouched by the fast path, and never admitted unverified."""

import msgspec
import pytest

from plat.errors import PlatError
from plat.feed import Route, RouteVersion
from plat.signing import Signing
from router.admission import Admission, Admitted
from router.limits.limiter import Limiter
from router.routes import RouteTable
from router.streaming_only import StreamingOnlyError
from router.target import Target, parse_target
from tests.unit.router.access.test_identity import identities
from tests.unit.router.client_rig import GET, ROUTE, Rig, answered
from tests.unit.router.heads import head

SIGNING = Signing("X-Signature", "sha256", (b"key",))
PAGE = head(b"X-Call-Id: a", b"Origin: https://app.example", start=b"GET /function/f/a?b HTTP/1.1")
CALL = parse_target("/function/f")


def route(auth: str, **changes: object) -> Route:
    plain = Route("f", 1, False, auth, 60.0, None, None, (RouteVersion("v", 1, 1, 30.0),))
    return msgspec.structs.replace(plain, **changes)


def admitted(route: Route, target: Target, authorization: str | None = None) -> Admitted | PlatError:
    routes = RouteTable()
    routes.put(route)
    answer = Admission(routes, identities("secret"), Limiter(), 1000).admit(target, authorization, 50.0)
    assert isinstance(answer, tuple | PlatError)
    return answer


class TestAdmission:
    def test_a_page_is_not_for_the_fast_path(self) -> None:
        page = msgspec.structs.replace(CALL, has_origin=True)
        with_cors = route("public", cors=("https://app.example",))
        assert isinstance(admitted(with_cors, page), StreamingOnlyError)
        assert isinstance(admitted(with_cors, CALL), tuple)
        assert isinstance(admitted(route("public"), page), tuple)

    def test_before_anybody_asks_for_a_token(self) -> None:
        """The refusal has to be readable too."""
        page = msgspec.structs.replace(CALL, has_origin=True)
        assert isinstance(admitted(route("token", cors=("*",)), page), StreamingOnlyError)

    @pytest.mark.parametrize("authorization", [None, "Bearer secret"])
    @pytest.mark.parametrize(
        ("signing", "signed"),
        [
            (SIGNING, None),
            (None, None),
            (None, SIGNING),
            (SIGNING, Signing("X-Signature", "sha256", (b"other",))),
            (SIGNING, Signing("X-Other", "sha256", (b"key",))),
            (SIGNING, Signing("X-Signature", "sha256", ())),
        ],
    )
    def test_what_was_not_verified_by_these_keys(
        self, signing: Signing | None, signed: Signing | None, authorization: str | None
    ) -> None:
        target = msgspec.structs.replace(CALL, signed=signed)
        refused = admitted(route("signed", signing=signing), target, authorization)
        assert isinstance(refused, StreamingOnlyError) and refused.status == 503

    def test_what_was(self) -> None:
        target = msgspec.structs.replace(CALL, signed=Signing("X-Signature", "sha256", (b"key",)))
        answer = admitted(route("signed", signing=SIGNING), target)
        assert isinstance(answer, tuple) and answer[0].identity is None

    def test_a_signature_is_no_token(self) -> None:
        target = msgspec.structs.replace(CALL, signed=SIGNING)
        refused = admitted(route("token"), target)
        assert isinstance(refused, PlatError) and refused.code == "unauthorized"


@pytest.fixture
async def rig() -> Rig:
    return Rig()


@pytest.mark.parametrize(
    ("changes", "data"),
    [({"cors": ("*",)}, PAGE), ({"auth": "signed", "signing": SIGNING}, GET), ({"auth": "signed"}, GET)],
    ids=["a page", "signed", "signed, and no key yet"],
)
async def test_it_is_handed_over_with_its_bytes_and_nothing_taken(
    rig: Rig, changes: dict[str, object], data: bytes
) -> None:
    rig.clients.calls.admission.routes.put(msgspec.structs.replace(ROUTE, **changes))
    rig.receive(data + b"GET /next")
    assert rig.server.other.data == data + b"GET /next"
    assert (rig.upstream_transport.take(), rig.transport.take(), rig.instance.free) == (b"", b"", 1)
    assert rig.clients.calls.metrics._calls == {}


async def test_others_are_not(rig: Rig) -> None:
    for data, changes in ((PAGE, {}), (GET, {"cors": ("*",)})):
        rig.clients.calls.admission.routes.put(msgspec.structs.replace(ROUTE, **changes))
        rig.receive(data)
        assert await rig.answer() == answered(b"a")
