"""How slowly may a client send a body? Decides only; what was waited for the client is passed in.

The rule of Apache's mod_reqtimeout (`body=10,MinRate=N`), Caddy and Kestrel: a grace, and from then on so
many bytes a second. With one bound more: however much has come already, no pause is longer than a minute.
"""

from typing import NamedTuple

LONGEST_PAUSE_S = 60.0
"""nginx's `client_body_timeout`: what a client may let the router wait at once."""


class LeastRate(NamedTuple):
    """The rule."""

    bytes_per_s: float
    grace_s: float


class Pace:
    """One body under the rule.

    Only the time counts in which the router waited for the client: not the time in which an instance
    that reads slowly made the router hold the client back.
    """

    __slots__ = ("_rule", "patience_s", "received", "waited_s")

    def __init__(self, rule: LeastRate) -> None:
        self._rule = rule
        self.received = 0
        self.waited_s = 0.0
        self.patience_s = rule.grace_s
        """How long the next byte may take. 0 or less: the client is too slow, unless it is here already."""

    def came(self, count: int, waited_s: float) -> None:
        """`count` bytes came after a wait. They buy time, up to the longest pause."""
        self.received += count
        self.waited_s += waited_s
        most = max(self._rule.grace_s, LONGEST_PAUSE_S)
        self.patience_s = min(most, self.patience_s - waited_s + count / self._rule.bytes_per_s)

    def complaint(self) -> str:
        """What a client that was too slow is told."""
        rate, grace_s = self._rule
        return (
            f"The body came too slowly: {self.received} bytes in {self.waited_s:.1f} s. It has {grace_s:g} s "
            f"and one more for every {rate:g} bytes, and no pause may be longer than {LONGEST_PAUSE_S:g} s."
        )
