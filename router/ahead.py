"""Connections to instances, opened before a call needs them: for slots just granted.

An instance whose slots were granted while it loads is asked, over the first, whether it is ready: its own
answer comes sooner than the pool's word.
"""

from collections.abc import Awaitable, Callable

import msgspec
from msgspec import Struct

from plat.address import Address
from plat.tasks import spawn
from router.answers import Answer, AnswerHeads
from router.http1 import BadResponseError
from router.slots import InstanceSlots
from router.upstream import UnreachableError, UpstreamConnection, connect

OPENED = 32
"""At an instance, at most."""

HEALTH = b"GET /_plat/health HTTP/1.1\r\nHost: instance\r\n\r\n"
ANSWER_LIMIT_BYTES = 64 * 1024


class Health(Struct, frozen=True):
    """What is read of an instance's answer; it holds it back while it loads."""

    function: str = ""
    """Empty: it is no function's yet."""


class Ahead:
    """Whoever needs a connection that is not there yet makes one; so nothing here can fail a call.

    `loaded` hears of each instance that says it is ready, after its connection is there.
    """

    def __init__(
        self,
        loaded: Callable[[str], None],
        connect: Callable[[Address], Awaitable[UpstreamConnection]] = connect,
    ) -> None:
        self._loaded = loaded
        self._connect = connect
        self._heads = AnswerHeads()
        self._asked: dict[str, Question] = {}

    def granted(self, instance: InstanceSlots, slots: int) -> None:
        """Told after the slots are in the table, and before a call that waited for them goes on."""
        if not instance.loading:
            self._open(instance, slots)
            return
        asked = self._asked.get(instance.id)
        if asked is not None and asked.of is not instance:  # promised anew after the link broke
            asked.give_up()
            asked = None
        if asked is None:
            question = Question(instance, self._heads, self._answered)
            self._asked[instance.id] = question
            spawn(self._ask(question), "ask whether an instance is ready")

    def ended(self, instance: str) -> None:
        """It is gone."""
        if (question := self._asked.get(instance)) is not None:
            question.give_up()

    # --- steps

    def _open(self, instance: InstanceSlots, slots: int) -> None:
        missing = min(slots, OPENED) - instance.in_use - len(instance.connections)
        for _ in range(missing):
            spawn(self._open_one(instance), "open ahead")

    async def _open_one(self, instance: InstanceSlots) -> None:
        upstream = await self._try(instance.address)
        if upstream is not None:
            _give(instance, upstream)

    async def _ask(self, question: "Question") -> None:
        upstream = await self._try(question.of.address)
        if upstream is None:
            question.give_up()
        else:
            question.ask(upstream)

    def _answered(self, instance: InstanceSlots, upstream: UpstreamConnection | None) -> None:
        """Whatever else it answers, the pool will say what becomes of it."""
        del self._asked[instance.id]
        if upstream is not None:
            _give(instance, upstream)
            self._loaded(instance.id)
            self._open(instance, instance.granted)

    async def _try(self, address: str) -> UpstreamConnection | None:
        try:
            return await self._connect(Address.parse(address))
        except UnreachableError:
            return None  # the call that needs it will say so


class Question:
    """Put to an instance that loads: is it ready? (`router.upstream.Sink`)

    `answered` is called once: with the connection, for calls to use, or with None for anything but yes.
    The answer has a Content-Length, as our runtimes give it.
    """

    def __init__(
        self,
        of: InstanceSlots,
        heads: AnswerHeads,
        answered: Callable[[InstanceSlots, UpstreamConnection | None], None],
    ) -> None:
        self.of = of
        self._answer = Answer(heads, b"", is_head=False, close=False)
        self._answered = answered
        self._said = b""
        self._upstream: UpstreamConnection | None = None
        self._is_over = False

    def ask(self, upstream: UpstreamConnection) -> None:
        if self._is_over:
            upstream.close()
        else:
            self._upstream = upstream
            upstream.begin(self, HEALTH)

    def give_up(self) -> None:
        if not self._is_over:
            self._is_over = True
            if self._upstream is not None:
                self._upstream.close()
            self._answered(self.of, None)

    def upstream_data(self, data: bytes) -> None:
        try:
            self._said += self._answer.feed(data)
        except BadResponseError:
            self.give_up()
            return
        if self._answer.complete:
            self._weigh()
        elif len(self._said) > ANSWER_LIMIT_BYTES:
            self.give_up()

    def upstream_ended(self, *, broken: bool) -> None:
        self.give_up()

    def _weigh(self) -> None:
        upstream = self._upstream
        assert upstream is not None, "an answer without a connection"
        if not (self._answer.status == 200 and self._answer.reusable and _is_ready(self._said)):
            self.give_up()
            return
        self._is_over = True
        upstream.finish()
        upstream.used = False  # by no call
        self._answered(self.of, upstream)


def _is_ready(answer: bytes) -> bool:
    try:
        return bool(msgspec.json.decode(answer.partition(b"\r\n\r\n")[2], type=Health).function)
    except msgspec.MsgspecError:
        return False


def _give(instance: InstanceSlots, upstream: UpstreamConnection) -> None:
    if instance.gone or len(instance.connections) >= instance.granted:
        upstream.close()
    else:
        instance.connections.insert(0, upstream)  # those in use lately stay on top
