import pytest

from pool.health import _LOAD
from runtimes.python.plat_runtime.door import LOAD, begins_page, order_at_a_glance


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


def test_an_order_is_known_at_a_glance_only_when_it_is_whole() -> None:
    """Whatever else it may be is for the reader of any request to say."""
    order = b'{"function": "f"}'
    assert _LOAD % (len(order), order) == LOAD + b"%d\r\n\r\n" % len(order) + order
    whole = _LOAD % (len(order), order)
    assert order_at_a_glance(whole) == order
    assert order_at_a_glance(bytearray(whole)) == order
    others = [whole[:length] for length in range(len(whole))]
    others += [whole + b"x", whole.replace(b"POST", b"post"), whole.replace(b": 17", b": +17")]
    assert [each for each in others if order_at_a_glance(each) is not None] == []
