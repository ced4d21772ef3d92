"""Who may call, and what is said to those who may not."""

import pytest

from plat.errors import PlatError
from plat.feed import Route, RouteVersion
from router.admission import Admission, Admitted
from router.limits.answers import line_pairs
from router.limits.buckets import LeasedBucket
from router.routes import RouteTable
from router.target import parse_target
from tests.unit.router.access.test_identity import entry, identities
from tests.unit.router.limits.lease_rig import Routers

NOW = 50.0


class Asked:
    """An admission with a store of limits that answers at once."""

    def __init__(self, route: Route) -> None:
        self._routers = Routers()
        routes = RouteTable()
        routes.put(route)
        routes.loaded = True
        known = identities("secret", "other")
        known.put(entry("child", root="id-secret"))
        self.admission = Admission(routes, known, self._routers.limiters[0], body_limit_bytes=1000)

    def admit(
        self, authorization: str | None = "Bearer secret", target: str = "hello"
    ) -> Admitted | PlatError:
        path = parse_target(f"/function/{target}")
        for attempt in range(5):
            admitted = self.admission.admit(path, authorization, NOW, may_wait=attempt < 4)
            if not isinstance(admitted, LeasedBucket):
                return admitted
            admitted.waiters.append(Gone())
            self._routers.exchange(NOW)
        raise AssertionError("a call waits and waits")


class Gone:
    """Makes the router want a token, and does not take it."""

    def resume(self, now: float) -> None:
        """Nobody is here."""


def admission(
    *,
    auth: str = "token",
    rate: float | None = None,
    stopped: bool = False,
    token_rate: float | None = None,
    token_max_in_flight: int | None = None,
) -> Asked:
    return Asked(
        Route(
            "hello",
            1,
            stopped,
            auth,
            60.0,
            rate,
            2 if rate else None,
            (RouteVersion("v1", 1, 1, 30.0),),
            token_rate=token_rate,
            token_burst=1 if token_rate else None,
            token_max_in_flight=token_max_in_flight,
        )
    )


def refusal(
    asked: Asked, authorization: str | None = "Bearer secret", target: str = "hello"
) -> PlatError | None:
    admitted = asked.admit(authorization, target)
    return admitted if isinstance(admitted, PlatError) else None


def test_a_call_that_may_go_on() -> None:
    admitted = admission().admit()
    assert not isinstance(admitted, PlatError)
    assert (admitted[0].route.name, admitted[0].version.id) == ("hello", "v1")


@pytest.mark.parametrize(
    ("asked", "authorization", "target", "code"),
    [
        (admission(), "Bearer secret", "other", "function_not_found"),
        (admission(), None, "hello", "unauthorized"),
        (admission(), "Bearer wrong", "hello", "unauthorized"),
        (admission(auth="public"), None, "hello", None),
        (admission(auth="public"), "Bearer wrong", "hello", None),
        (admission(auth="anything else"), None, "hello", "unauthorized"),
        (admission(), "Bearer secret", "hello:2", "version_not_found"),
        (admission(), None, "hello:2", "unauthorized"),
        (admission(stopped=True), "Bearer secret", "hello", "function_stopped"),
        (admission(stopped=True), None, "hello", "unauthorized"),
    ],
)
def test_refusals(asked: Asked, authorization: str | None, target: str, code: str | None) -> None:
    error = refusal(asked, authorization, target)
    assert (error.code if error else None) == code


def test_the_rate_is_the_last_question() -> None:
    """A call refused for another reason takes no token of the bucket."""
    asked = admission(rate=1.0)
    for _ in range(5):
        assert refusal(asked, None) is not None
        assert refusal(asked, target="hello:7") is not None
    assert [refusal(asked) is None for _ in range(3)] == [True, True, False]


def test_what_a_call_over_the_rate_is_told() -> None:
    asked = admission(rate=0.5)
    refusals = [refusal(asked) for _ in range(3)]
    error = refusals[-1]
    assert error is not None
    assert (error.code, error.status) == ("rate_limited", 429)
    assert error.retry_after_s == pytest.approx(2.0)
    assert "0.5 calls a second" in error.detail


def headers(error: PlatError | None) -> dict[str, str]:
    assert error is not None
    return dict(error.headers)


def test_a_refusal_says_which_limit_it_was() -> None:
    asked = admission(rate=0.5)
    told = headers([refusal(asked) for _ in range(3)][-1])
    assert told == {
        "RateLimit-Policy": '"function";q=1;w=2;burst=2',
        "RateLimit": '"function";r=0;t=2',
    }


def test_each_token_has_its_own_rate() -> None:
    asked = admission(rate=0.001, token_rate=0.001)
    assert refusal(asked) is None
    error = refusal(asked)
    assert error is not None
    assert (error.code, headers(error)["RateLimit"][:7]) == ("rate_limited", '"token"')
    assert "of one token" in error.detail
    assert refusal(asked, "Bearer other") is None, "the refused call has given the function's token back"


def test_each_token_has_so_many_calls_in_flight() -> None:
    asked = admission(token_max_in_flight=2)
    admitted = [asked.admit() for _ in range(2)]
    error = refusal(asked)
    assert error is not None
    assert (error.code, error.status) == ("too_many_in_flight", 429)
    assert headers(error)["RateLimit-Policy"] == '"in-flight";q=2;qu="concurrent-requests"'
    assert refusal(asked, "Bearer other") is None
    assert not isinstance(admitted[0], PlatError)
    permit = admitted[0][1]
    assert permit is not None
    permit.release(NOW)
    assert refusal(asked) is None


def test_a_token_that_was_made_with_another_shares_its_limits() -> None:
    asked = admission(token_rate=0.001)
    assert refusal(asked) is None
    error = refusal(asked, "Bearer child")
    assert error is not None
    assert error.code == "rate_limited"
    asked = admission(token_max_in_flight=1)
    admitted = asked.admit("Bearer child")
    error = refusal(asked)
    assert error is not None
    assert error.code == "too_many_in_flight"
    assert not isinstance(admitted, PlatError) and admitted[1] is not None
    admitted[1].release(NOW)
    assert refusal(asked) is None


@pytest.mark.parametrize(
    ("length", "refused"), [(None, False), (0, False), (1000, False), (1001, True), (10**18, True)]
)
def test_a_body_over_the_limit_is_refused_by_its_length(length: int | None, refused: bool) -> None:
    asked = admission().admission
    if not refused:
        asked.check_length(length)
        return
    with pytest.raises(PlatError) as error:
        asked.check_length(length)
    assert error.value.code == "body_too_large"
    assert "1000" in error.value.detail


def test_who_is_admitted_is_told_of_each_limit_of_rate() -> None:
    admitted = admission(rate=1.0, token_rate=5.0).admit()
    assert not isinstance(admitted, PlatError)
    told = line_pairs(admitted[2])
    assert [value for name, value in told if name == b"RateLimit"] == [
        b'"function";r=1',
        b'"token";r=0;t=1',
    ]


def test_without_a_limit_of_rate_nothing_is_told() -> None:
    admitted = admission(token_max_in_flight=1).admit()
    assert not isinstance(admitted, PlatError)
    assert admitted[2] == b""
