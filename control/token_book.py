"""All tokens, in memory: who a request comes from costs no query. Decides only; time passed in."""

import hmac
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime

import msgspec

from control.rows import TokenRow
from control.tokens import bearer_of, digest_of, has_expired, is_admin, token_entry
from plat.errors import PlatError
from plat.feed import TokenEntry


class TokenBook:
    """As the database has them, but for the latest uses, which are written later."""

    def __init__(self, rows: Iterable[TokenRow] = ()) -> None:
        self._by_id: dict[str, TokenRow] = {}
        self._by_digest: dict[str, TokenRow] = {}
        self._used: dict[str, datetime] = {}
        """Not yet in the database."""
        for row in rows:
            self.put(row)

    def __len__(self) -> int:
        return len(self._by_id)

    def __iter__(self) -> Iterator[TokenRow]:
        return iter(self._by_id.values())

    # --- who

    def bearer(self, authorization: str, now: datetime) -> TokenRow:
        """Whose token the header carries. Raises PlatError `unauthorized`."""
        token = bearer_of(authorization)
        if token is None:
            raise PlatError("unauthorized", "Send the header `Authorization: Bearer <token>`.")
        digest = digest_of(token)
        row = self._by_digest.get(digest)
        if row is None or not hmac.compare_digest(digest, row.digest):
            raise PlatError("unauthorized", "The token is not known. `plat up` printed where it is kept.")
        if has_expired(row, now):
            raise PlatError("unauthorized", f'The token "{row.name}" has expired. Ask for another one.')
        self._note(row, now)
        return row

    # --- what is there

    def get(self, identity: str) -> TokenRow | None:
        return self._by_id.get(identity)

    def is_known(self, digest: str) -> bool:
        return digest in self._by_digest

    def entries(self) -> list[TokenEntry]:
        return [self.entry(row) for row in self._by_id.values()]

    def entry(self, row: TokenRow) -> TokenEntry:
        return token_entry(row, "" if row.parent is None else self.root(row).id)

    def visible_to(self, row: TokenRow) -> list[TokenRow]:
        """By id: all for an admin, else itself and those made with it."""
        seen = self._by_id.values() if is_admin(row) else self.family(row.id)
        return sorted(seen, key=lambda each: each.id)

    def family(self, identity: str) -> list[TokenRow]:
        """The token and all that go with it: made with it, or with one of those."""
        children: dict[str | None, list[TokenRow]] = {}
        for row in self._by_id.values():
            children.setdefault(row.parent, []).append(row)
        found = [self._by_id[identity]] if identity in self._by_id else []
        for row in found:
            found += children.get(row.id, ())
        return found

    def lineage(self, row: TokenRow) -> list[TokenRow]:
        """The token, the one that it was made with, and so on to the first of its family."""
        found = [row]
        while (parent := self._by_id.get(found[-1].parent or "")) is not None:
            found.append(parent)
        return found

    def root(self, row: TokenRow) -> TokenRow:
        """The first of its family: an admin made it."""
        return self.lineage(row)[-1]

    def leaves_first(self, rows: Iterable[TokenRow]) -> list[TokenRow]:
        """Each before the one that it was made with."""
        return sorted(rows, key=lambda row: len(self.lineage(row)), reverse=True)

    def owned_by(self, user: str) -> list[TokenRow]:
        """The user's tokens, and those that were made with them."""
        own = [row for row in self._by_id.values() if row.owner == user]
        return list({each.id: each for row in own for each in self.family(row.id)}.values())

    def expired(self, by: datetime) -> list[TokenRow]:
        return [row for row in self._by_id.values() if has_expired(row, by)]

    # --- changes

    def put(self, row: TokenRow) -> None:
        self.drop(row.id)
        self._by_id[row.id] = row
        self._by_digest[row.digest] = row

    def drop(self, identity: str) -> None:
        row = self._by_id.pop(identity, None)
        self._used.pop(identity, None)
        if row is not None:
            del self._by_digest[row.digest]

    # --- use

    def note_used(self, at: Mapping[str, float]) -> None:
        """As routers say: by id, in seconds since 1970."""
        for identity, moment in at.items():
            row = self._by_id.get(identity)
            if row is not None:
                self._note(row, datetime.fromtimestamp(moment, UTC))

    def _note(self, row: TokenRow, at: datetime) -> None:
        if row.last_used_at is None or at > row.last_used_at:
            new = msgspec.structs.replace(row, last_used_at=at)
            self._by_id[row.id] = self._by_digest[row.digest] = new
            self._used[row.id] = at

    def take_used(self) -> dict[str, datetime]:
        """What was noted since the last time."""
        used, self._used = self._used, {}
        return used
