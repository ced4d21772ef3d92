"""What a user is told when the engine refuses something. No I/O."""

import errno

from plat.errors import PlatError
from pool.drivers.base import Kind, StartOrder, WarmOrder
from pool.drivers.docker_engine import EngineRefusalError, Json


def kind_of(order: StartOrder | WarmOrder) -> Kind:
    return order.kind if isinstance(order, WarmOrder) else Kind.of(order.version.spec)


def start_refused(error: EngineRefusalError, order: StartOrder | WarmOrder, image: str | None) -> PlatError:
    if error.status == 404 and "no such image" in error.message.lower():
        detail = f'The image "{image}" is missing. Build it: deploy/build-images {kind_of(order).runtime}'
        return PlatError("instance_start_failed", detail)
    if "no space left on device" in error.message.lower():
        return PlatError("disk_full", f"{error.message}. Free some space and try again.")
    detail = f"The Docker engine cannot start {_what(order)}: {error.message}."
    return PlatError("instance_start_failed", detail)


def no_image(runtime: str) -> PlatError:
    detail = f'The runtime "{runtime}" has no image; python and node have.'
    return PlatError("instance_start_failed", detail)


def code_refused(error: OSError, order: StartOrder) -> PlatError:
    """The code of a version that cannot be given to a warm instance."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return PlatError("disk_full", f"{error}. Free some space and try again.")
    detail = f"The code of {_what(order)} cannot be given to instance {order.instance}: {error}."
    return PlatError("instance_start_failed", detail)


def is_as_wanted(state: Json, *, paused: bool) -> bool:
    """From `GET /containers/<id>/json`: whether it runs, and is paused or not."""
    return bool(state["State"]["Running"] and state["State"]["Paused"] is paused)


def no_use(instance: str, why: str) -> PlatError:
    """What was to be done with an instance cannot be, for a reason that is the instance's own."""
    return PlatError("instance_unavailable", f"Instance {instance} {why}.")


def refused(error: EngineRefusalError, what: str) -> PlatError:
    return PlatError("engine_unavailable", f"The Docker engine refused to {what}: {error.message}.")


def _what(order: StartOrder | WarmOrder) -> str:
    if isinstance(order, WarmOrder):
        return f"a warm instance of {order.kind.runtime}"
    return f"{order.version.function} version {order.version.number}"
