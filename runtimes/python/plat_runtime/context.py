"""The handler's second argument, with the attribute names of AWS Lambda's context."""

from __future__ import annotations

import time

from .http1 import Request
from .order import Order


class Context:
    """One call. `aws_request_id` is the call id."""

    __slots__ = ("_deadline_ms", "_order", "aws_request_id", "client_context", "identity")

    def __init__(self, order: Order, request: Request) -> None:
        self._order = order
        self.aws_request_id = request.fields.get("x-call-id", "")
        self.identity = None
        self.client_context = None
        deadline = request.fields.get("x-deadline-ms", "")
        if deadline.isascii() and deadline.isdigit():
            self._deadline_ms = float(deadline)
        else:
            self._deadline_ms = (time.time() + order.timeout_s) * 1000

    @property
    def function_name(self) -> str:
        return self._order.function

    @property
    def function_version(self) -> str:
        return str(self._order.version)

    @property
    def memory_limit_in_mb(self) -> int:
        return self._order.memory_mb

    @property
    def invoked_function_arn(self) -> str:
        """Of AWS's form, as handlers take it apart at the colons."""
        return f"arn:plat:lambda:local:000000000000:function:{self._order.function}:{self._order.version}"

    @property
    def log_group_name(self) -> str:
        return f"/plat/{self._order.function}"

    @property
    def log_stream_name(self) -> str:
        return f"{self._order.version}/{self._order.instance}"

    def get_remaining_time_in_millis(self) -> int:
        """Until the caller gives up; never below 0. By the wall clock: the deadline is another process's."""
        return max(0, int(self._deadline_ms - time.time() * 1000))
