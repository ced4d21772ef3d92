"""What went wrong on the way, in words."""

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey

from plat.answers import RefusedError, unreachable
from plat.model import Problem

KEY = ConnectionKey("127.0.0.1", 1, False, True, None, None, None)
URL = "http://127.0.0.1:1"


@pytest.mark.parametrize(
    ("error", "code", "detail"),
    [
        (
            aiohttp.ClientConnectorError(KEY, OSError(111, "refused")),
            "control_unavailable",
            "Nothing answers at http://127.0.0.1:1: is `plat up` running?",
        ),
        (TimeoutError(), "control_unavailable", "http://127.0.0.1:1 did not answer in time."),
        (
            aiohttp.ServerDisconnectedError(),
            "control_unavailable",
            "The connection to http://127.0.0.1:1 broke: Server disconnected.",
        ),
        (aiohttp.InvalidURL("x"), "invalid", '"http://127.0.0.1:1" is not an address like'),
        (ValueError("port"), "invalid", '"http://127.0.0.1:1" is not an address like'),
    ],
)
def test_said_in_words(error: Exception, code: str, detail: str) -> None:
    said = unreachable(error, URL)
    assert said.code == code
    assert said.detail.startswith(detail)


def test_a_refusal_keeps_the_answer_s_status_whatever_the_code() -> None:
    problem = Problem(
        type="urn:plat:error:new", title="New", status=418, detail="Tea.", code="new", call_id="c"
    )
    refused = RefusedError(problem)
    assert (refused.code, refused.status, refused.detail) == ("internal", 418, "Tea.")
    assert refused.answer.call_id == "c"
