"""Which paths are control's."""

import pytest

from router.control import is_control


@pytest.mark.parametrize("path", ["/v1", "/v1/functions", "/v1?x=1", "/ui", "/ui/", "/ui/index.html"])
def test_control_gets(path: str) -> None:
    assert is_control(path)


@pytest.mark.parametrize(
    "path", ["/", "/v10", "/v1x/functions", "/function/v1", "/feed", "/metrics", "/uix", "/V1"]
)
def test_control_does_not_get(path: str) -> None:
    assert not is_control(path)
