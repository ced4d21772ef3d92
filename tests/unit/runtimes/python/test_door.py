import pytest

from runtimes.python.plat_runtime.door import begins_page


@pytest.mark.parametrize(
    ("data", "is_page"),
    [
        (b"GET /_plat/health HTTP/1.1", True),
        (b"POST /_plat/", True),
        (b"G", None),
        (b"GET ", None),
        (b"GET /_pl", None),
        (b"GET /", None),
        (b"GET / ", False),
        (b"GET /_plot/", False),
        (b"GET /a/_plat/", False),
        (b"x" * 64, False),
        (b"GET  /_plat/", False),
    ],
)
def test_begins_page(data: bytes, is_page: bool | None) -> None:
    assert begins_page(data) is is_page
