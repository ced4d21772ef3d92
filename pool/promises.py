"""Slots of instances that are still being loaded or resumed: who waits has them before they can be used."""

import time

from plat.feed import Gone, Loaded, VersionEntry
from pool.demand import Demands
from pool.granting import Granting, Send
from pool.ledger import Ledger
from pool.lifecycle import State
from pool.member import Member


class Promises:
    """What is promised is held, in the ledger, and used by no call before the instance is ready."""

    def __init__(self, ledger: Ledger, demands: Demands, granting: Granting, send: Send) -> None:
        self._ledger = ledger
        self._demands = demands
        self._granting = granting
        self._send = send

    def make(self, member: Member) -> None:
        """It is being loaded: whoever waits has its slots, and hears from the instance when it is ready."""
        version = member.version
        if self._are_of_use(version):
            now = time.monotonic()
            self._ledger.open(member.id, version.id, version.spec.concurrency, now, loading=True)
            self._granting.grant(version.id)

    def make_of_paused(self, member: Member) -> None:
        """It is being resumed, which takes an engine a while: the same."""
        if member.state is State.PAUSED and self._are_of_use(member.version):
            self._ledger.promise(member.id)
            self._granting.grant(member.version.id)

    def _are_of_use(self, version: VersionEntry) -> bool:
        """Not where others of the version are ready: a slot of theirs may be free sooner.

        Nor of one with secrets, which may be changed meanwhile: no call may come to one that has the former
        value.
        """
        if version.spec.secrets or not self._demands.outstanding(version.id):
            return False
        return not any(each.granting and not each.loading for each in self._ledger.of_version(version.id))

    def keep(self, member: Member) -> None:
        """It is ready."""
        for router in self._ledger.loaded(member.id, time.monotonic()):
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
