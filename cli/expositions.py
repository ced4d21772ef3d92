"""Prometheus texts of several processes as one: samples of the same name and labels are added up."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

_SAMPLE = re.compile(
    r"""
    (?P<key> (?P<name> [A-Za-z_:][A-Za-z0-9_:]*) (?: \{ (?: [^"{}] | "(?: [^"\\] | \\. )*" )* \} )? )
    [ \t]+ (?P<value> \S+)
    (?: [ \t]+ -?\d+ )? [ \t]*
    """,
    re.VERBOSE,
)

_PARTS = ("_bucket", "_sum", "_count", "_total")

_SMALLEST = ("_created", "_start_time_seconds")
_LARGEST = ("_info", "_max_fds", "_timestamp_seconds")
"""Endings of names of which a sum says nothing: moments, and facts about each process."""


@dataclass
class _Family:
    """A metric: its HELP and TYPE lines, and its samples in the order in which they came."""

    head: dict[str, str] = field(default_factory=dict)
    samples: dict[str, float] = field(default_factory=dict)


def sum_expositions(texts: Iterable[str]) -> str:
    """One text of the same format: each HELP and TYPE once, the order of the first that has a line.

    Raises ValueError naming a line that is no sample.
    """
    families: dict[str, _Family] = {}
    for text in texts:
        _add(families, text)
    lines: list[str] = []
    for family in families.values():
        lines += family.head.values()
        lines += [f"{key} {_text(value)}" for key, value in family.samples.items()]
    return "".join(f"{line}\n" for line in lines)


def _add(families: dict[str, _Family], text: str) -> None:
    current = ""
    for line in text.split("\n"):  # not splitlines: a label may hold U+2028 and its like
        words = line.split(None, 3)
        if line.startswith("#"):
            if len(words) >= 3 and words[1] in ("HELP", "TYPE"):
                current = words[2]
                families.setdefault(current, _Family()).head.setdefault(words[1], line)
        elif words:
            _add_sample(families, current, line)


def _add_sample(families: dict[str, _Family], current: str, line: str) -> None:
    match = _SAMPLE.fullmatch(line)
    if match is None:
        raise ValueError(f"no Prometheus sample: {line!r}")
    name, key, value = match["name"], match["key"], float(match["value"])
    family = families.setdefault(current if _belongs(name, current) else name, _Family())
    known = family.samples.get(key)
    family.samples[key] = value if known is None else _merged(name, known, value)


def _belongs(name: str, family: str) -> bool:
    """A histogram's samples have the family's name and an ending."""
    return bool(family) and name in (family, *(family + ending for ending in _PARTS))


def _merged(name: str, one: float, other: float) -> float:
    if name.endswith(_SMALLEST):
        return min(one, other)
    return max(one, other) if name.endswith(_LARGEST) else one + other


def _text(value: float) -> str:
    special = {"inf": "+Inf", "-inf": "-Inf", "nan": "NaN"}
    return special.get(str(value), repr(value))
