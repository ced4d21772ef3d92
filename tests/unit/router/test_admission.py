"""Who may call, and what is said to those who may not."""

import pytest

from plat.errors import PlatError
from plat.feed import Route, RouteVersion
from router.admission import Admission
from router.limits import Limiter
from router.routes import RouteTable
from router.target import parse_target
from tests.unit.router.test_identity import identities

NOW = 50.0


def admission(*, auth: str = "token", rate: float | None = None, stopped: bool = False) -> Admission:
    routes = RouteTable()
    versions = (RouteVersion("v1", 1, 1, 30.0),)
    routes.put(Route("hello", 1, stopped, auth, 60.0, rate, 2, versions))
    routes.loaded = True
    return Admission(routes, identities("secret"), Limiter(1), body_limit_bytes=1000)


def refusal(
    asked: Admission, authorization: str | None = "Bearer secret", target: str = "hello"
) -> PlatError | None:
    admitted = asked.admit(parse_target(f"/function/{target}"), authorization, NOW)
    return admitted if isinstance(admitted, PlatError) else None


def test_a_call_that_may_go_on() -> None:
    admitted = admission().admit(parse_target("/function/hello"), "Bearer secret", NOW)
    assert not isinstance(admitted, PlatError)
    assert (admitted[0].name, admitted[1].id) == ("hello", "v1")


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
def test_refusals(asked: Admission, authorization: str | None, target: str, code: str | None) -> None:
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


@pytest.mark.parametrize(
    ("length", "refused"), [(None, False), (0, False), (1000, False), (1001, True), (10**18, True)]
)
def test_a_body_over_the_limit_is_refused_by_its_length(length: int | None, refused: bool) -> None:
    asked = admission()
    if not refused:
        asked.check_length(length)
        return
    with pytest.raises(PlatError) as error:
        asked.check_length(length)
    assert error.value.code == "body_too_large"
    assert "1000" in error.value.detail
