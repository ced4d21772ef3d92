import itertools

import h11

from bench import request
from bench.backend import configuration
from bench.request import CASES, bytes_of, each_with_its_own_id
from bench.slow_backend import is_whole
from plat.address import Address


def test_the_request_is_what_a_parser_reads() -> None:
    server = h11.Connection(h11.SERVER)
    server.receive_data(bytes_of("127.0.0.1:80", "/function/f", 90))
    head, data = server.next_event(), server.next_event()
    assert isinstance(head, h11.Request)
    assert (head.method, head.target) == (b"POST", b"/function/f")
    assert isinstance(data, h11.Data)
    assert len(data.data) == 90


def test_without_a_body_it_is_a_get() -> None:
    assert bytes_of("h", "/", 0).startswith(b"GET / HTTP/1.1\r\n")
    assert b"content-length" not in bytes_of("h", "/", 0).lower()


def test_ids_count_up_and_nothing_else_changes() -> None:
    whole = bytes_of("h", "/", 90)
    first, second = itertools.islice(each_with_its_own_id(whole, 9), 2)
    assert b"X-Request-Id: %032x\r\n" % 9 in first
    assert second == first.replace(b"%032x" % 9, b"%032x" % 10)
    assert len(first) == len(whole)


def test_no_case_s_name_begins_another_s() -> None:
    assert not any(one.startswith(other) for one, other in itertools.permutations(CASES, 2))


def test_the_slow_backend_knows_a_whole_request() -> None:
    whole = bytes_of("h", "/", 90)
    assert is_whole(whole)
    assert not any(is_whole(whole[:end]) for end in range(len(whole)))


def test_the_backend_listens_for_each_case(tmp_path: object) -> None:
    upstreams = {name: Address(host="127.0.0.1", port=1000 + n) for n, name in enumerate(CASES)}
    from pathlib import Path

    text = configuration(Path(str(tmp_path)), upstreams)
    assert all(f"listen 127.0.0.1:{1000 + n} " in text for n in range(len(CASES)))
    assert request.body(90).decode() in text
