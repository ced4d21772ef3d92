"""Slots of instances that are still being loaded: whoever waits has them before they can be used."""

import time

from plat.feed import Gone, Loaded
from pool.demand import Demands
from pool.granting import Granting, Send
from pool.ledger import Ledger
from pool.member import Member


class Promises:
    """What is promised is held, in the ledger, and used by no call before the instance is ready."""

    def __init__(self, ledger: Ledger, demands: Demands, granting: Granting, send: Send) -> None:
        self._ledger = ledger
        self._demands = demands
        self._granting = granting
        self._send = send

    def make(self, member: Member) -> None:
        """It is being loaded: whoever waits has its slots, and hears from the instance when it is ready.

        Not where others of the version are ready: a slot of theirs may be free sooner. Nor of one with
        secrets, which may be changed meanwhile: no call may come to one that has the former value.
        """
        version = member.version
        accounts = self._ledger.of_version(version.id)
        if version.spec.secrets or not all(each.loading for each in accounts):
            return
        if self._demands.outstanding(version.id):
            now = time.monotonic()
            self._ledger.open(member.id, version.id, version.spec.concurrency, now, loading=True)
            self._granting.grant(version.id)

    def keep(self, member: Member) -> None:
        """It is ready."""
        for router in self._ledger.loaded(member.id):
            self._send(router, Loaded(member.id))

    def break_(self, member: Member) -> None:
        """It cannot be loaded, or has ended: whoever was promised slots of it waits again."""
        account = self._ledger.account(member.id)
        if account is None:
            return
        self._ledger.close(member.id)
        gone = Gone(member.id, "not_loaded", "Its function could not be loaded.")
        if member.died.done():
            gone = Gone(member.id, member.died.result().reason, member.died.result().detail)
        for router in account.held:
            self._demands.again(member.version.id, router)
            self._send(router, gone)
