"""Addresses as text: what is one, what is refused, and that printing is the reverse of parsing."""

import pytest

from plat.address import Address


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("unix:/run/plat/pool.sock", Address(path="/run/plat/pool.sock")),
        ("unix:/with:colon", Address(path="/with:colon")),
        ("tcp:127.0.0.1:8080", Address(host="127.0.0.1", port=8080)),
        ("tcp:::1:80", Address(host="::1", port=80)),
        ("tcp:pool:65535", Address(host="pool", port=65_535)),
    ],
)
def test_parse_and_print(text: str, address: Address) -> None:
    assert Address.parse(text) == address
    assert str(address) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "unix:",
        "unix:relative.sock",
        "tcp:",
        "tcp:host",
        "tcp:host:",
        "tcp::80",
        "tcp:host:0",
        "tcp:host:65536",
        "tcp:host:-1",
        "tcp:host:٣",
        "tcp:host: 80",
        "http://host:80",
        "/run/pool.sock",
    ],
)
def test_refused_by_name(text: str) -> None:
    with pytest.raises(ValueError, match="expected unix:/path or tcp:host:port") as refused:
        Address.parse(text)
    assert f'"{text}"' in str(refused.value)
