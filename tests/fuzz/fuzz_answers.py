"""Fuzz target: an instance's answer is the same in whatever pieces it comes, and for h11 and aiohttp.

The first bytes say how it is cut, asked for and ended (`tests.fuzz.corpus`), the rest is the answer.

python -m tests.fuzz.fuzz_answers -max_total_time=600
"""

import atheris

with atheris.instrument_imports(include=["aiohttp.http_parser", "h11", "router", "tests.fuzz"]):
    from tests.fuzz.agreement import check_answer
    from tests.fuzz.corpus import taken_apart
    from tests.fuzz.readers import AiohttpReader
    from tests.fuzz.run import run

_AIOHTTP = AiohttpReader()


def one_input(data: bytes) -> None:
    method, ended, cuts, answer = taken_apart(data)
    check_answer(answer, cuts, _AIOHTTP, method=method, ended=ended)


if __name__ == "__main__":
    run(one_input, "answers")
