"""Origins of web pages (RFC 6454, 6.2), and patterns of them: what `[access] cors` lists. Decides only."""

import re
from collections.abc import Iterable

ANY = "*"
ANY_SUB_DOMAIN = "*."

_ORIGIN = re.compile(r"([a-z][a-z0-9+.-]*)://(\*\.)?([a-z0-9._-]+|\[[0-9a-f:.]+\])(?::([1-9][0-9]{0,4}))?")
_DEFAULT_PORTS = {"http": "80", "https": "443"}
"""Browsers leave them out, so a pattern that has one matches nothing."""


def fault_of(pattern: str) -> str | None:
    """Why no origin is of this pattern; None: some are."""
    if pattern == ANY:
        return None
    if pattern == "null":
        return '"null" is the origin of files and of any page in a sandbox: it says nothing about who calls'
    match = _ORIGIN.fullmatch(pattern)
    if match is None:
        return _how_it_is_written(pattern)
    scheme, any_sub_domain, host, port = match.groups()
    if port is not None and (int(port) > 65_535 or port == _DEFAULT_PORTS.get(scheme)):
        return f"browsers never send the port {port} with {scheme}: leave it out"
    if any_sub_domain and (host.startswith("[") or host.replace(".", "").isdigit()):
        return "an address has no sub-domains"
    return None


def _how_it_is_written(pattern: str) -> str:
    if "://" not in pattern:
        return "expected a scheme, a host and perhaps a port, as in https://app.example"
    if pattern != pattern.lower():
        return "expected lower-case letters, as browsers send them"
    rest = pattern.partition("://")[2]
    if any(each in rest for each in "/?#@"):
        return "expected an origin without a path, a slash at its end or a user"
    if ANY in rest:
        return "a * is allowed in the place of all sub-domains only, as in https://*.example.org"
    return "expected a scheme, a host and perhaps a port, as in https://app.example:8443"


def allows(patterns: Iterable[str], origin: str) -> bool:
    """Whether one of them is the origin, or has it among its sub-domains (at any depth, not the domain)."""
    return any(_matches(pattern, origin) for pattern in patterns)


def _matches(pattern: str, origin: str) -> bool:
    if pattern in (ANY, origin):
        return True
    scheme, separator, host = pattern.partition("://")
    if not host.startswith(ANY_SUB_DOMAIN):
        return False
    sub_domains = origin.removeprefix(scheme + separator).removesuffix(host[1:])
    return (
        origin == scheme + separator + sub_domains + host[1:] and _LABELS.fullmatch(sub_domains) is not None
    )


_LABELS = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*")
