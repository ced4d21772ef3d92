"""Looks at what the machine runs, and has the fleet and the warm stock make of it what `reconcile` says."""

from collections.abc import Callable

from plat.tasks import spawn
from pool.drivers.base import Driver, Exited
from pool.fleet import Fleet
from pool.reconcile import discovered, plan
from pool.table import FunctionTable
from pool.warm import WarmStock


class Listing:
    """`changed` hears the names of functions that are there only as containers somebody started by hand."""

    def __init__(
        self,
        driver: Driver,
        table: FunctionTable,
        fleet: Fleet,
        stock: WarmStock,
        changed: Callable[[list[str]], None],
    ) -> None:
        self._driver = driver
        self._table = table
        self._fleet = fleet
        self._stock = stock
        self._changed = changed

    async def look(self) -> None:
        """What the driver tells may be older than what happened meanwhile. Raises PlatError."""
        before = self._fleet.looked_after() | self._stock.looked_after()
        settled = self._fleet.known() | self._stock.ready()
        listed = await self._driver.list()
        if changed := self._table.discover(discovered(listed, self._table.managed_names)):
            self._changed(changed)
        todo = plan(listed, settled, self._table.versions)
        looked_after = before | self._fleet.looked_after() | self._stock.looked_after()
        for running, version in todo.adopt:
            if running.instance not in looked_after:
                self._fleet.adopt(running, version)
        for running in todo.warm:
            if running.instance not in looked_after:
                self._stock.adopt(running)
        for running in todo.stop:
            if running.instance not in looked_after:
                spawn(self._fleet.stop_unknown(running), f"stop {running.instance}")
        for instance in todo.gone:
            self._fleet.exited(Exited(instance, "unknown", "It was not there any more when the pool looked."))
