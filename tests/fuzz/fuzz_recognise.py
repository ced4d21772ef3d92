"""Fuzz target: what the fast path takes, h11 and both of aiohttp's parsers read as the same request.

python -m tests.fuzz.fuzz_recognise -max_total_time=600
"""

import atheris

with atheris.instrument_imports(include=["aiohttp.http_parser", "h11", "router", "tests.fuzz"]):
    from tests.fuzz.agreement import check_request
    from tests.fuzz.readers import AiohttpReader
    from tests.fuzz.run import run

_AIOHTTP = AiohttpReader()


def one_input(data: bytes) -> None:
    check_request(data, _AIOHTTP)


if __name__ == "__main__":
    run(one_input, "recognise")
