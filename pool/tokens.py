"""The tokens as control last told them, for routers; and when routers say they were used, for control."""

import asyncio
from collections.abc import Iterator, Mapping

from plat.feed import TokenEntry, TokensUsed


class TokenTable:
    """By id. Control tells it again in parts, each merged into what is here: begin, put and drop, end."""

    def __init__(self) -> None:
        self._tokens: dict[str, TokenEntry] = {}
        self._heard: set[str] | None = None
        """While the whole table is told: the tokens told of so far."""

    def begin(self) -> None:
        """The whole table follows. One that broke off before its end has dropped nothing."""
        self._heard = set()

    def put(self, token: TokenEntry) -> bool:
        """Whether that changed anything."""
        if self._heard is not None:
            self._heard.add(token.id)
        if self._tokens.get(token.id) == token:
            return False
        self._tokens[token.id] = token
        return True

    def drop(self, identity: str) -> bool:
        return self._tokens.pop(identity, None) is not None

    def end(self) -> list[str]:
        """Drop what was not told of since `begin`: the ids of those."""
        assert self._heard is not None, "a table has its beginning"
        gone = [each for each in self._tokens if each not in self._heard]
        self._heard = None
        for identity in gone:
            del self._tokens[identity]
        return gone

    def now(self) -> Iterator[TokenEntry]:
        """All that are here when it is begun, each as it is when it is taken."""
        return (token for identity in list(self._tokens) if (token := self._tokens.get(identity)) is not None)


class UsedTokens:
    """What waits to be told to control: at most one moment a token."""

    def __init__(self) -> None:
        self._at: dict[str, float] = {}
        self._filled = asyncio.Event()

    def note(self, at: Mapping[str, float]) -> None:
        for identity, moment in at.items():
            self._at[identity] = max(moment, self._at.get(identity, moment))
        if self._at:
            self._filled.set()

    async def take(self) -> TokensUsed:
        """As soon as there is something. Cancelling is safe: nothing is taken then."""
        await self._filled.wait()
        self._filled.clear()
        taken, self._at = self._at, {}
        return TokensUsed(taken)
