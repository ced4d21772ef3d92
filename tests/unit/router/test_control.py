"""Which paths are control's, and what it is told of the client."""

import pytest
from aiohttp.test_utils import make_mocked_request
from multidict import CIMultiDict

from router.control import forwarded_for, is_control


@pytest.mark.parametrize("path", ["/v1", "/v1/functions", "/v1?x=1", "/ui", "/ui/", "/ui/index.html"])
def test_control_gets(path: str) -> None:
    assert is_control(path)


@pytest.mark.parametrize(
    "path", ["/", "/v10", "/v1x/functions", "/function/v1", "/feed", "/metrics", "/uix", "/V1"]
)
def test_control_does_not_get(path: str) -> None:
    assert not is_control(path)


@pytest.mark.parametrize(
    ("told", "expected"),
    [([], b"10.0.0.9"), (["6.6.6.6"], b"6.6.6.6, 10.0.0.9"), (["a", "b"], b"a, b, 10.0.0.9")],
)
def test_the_clients_own_address_comes_last(told: list[str], expected: bytes) -> None:
    headers = CIMultiDict([("X-Forwarded-For", each) for each in told])
    request = make_mocked_request("GET", "/v1", headers).clone(remote="10.0.0.9")
    assert forwarded_for(request) == expected
