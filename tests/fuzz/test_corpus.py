"""Every seed of the fuzz targets runs once with the tests; fuzzing itself is done by hand."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fuzz.agreement import check_answer, check_request
from tests.fuzz.corpus import seeds, taken_apart
from tests.fuzz.readers import AiohttpReader


@pytest.fixture(scope="module")
def aiohttp() -> Iterator[AiohttpReader]:
    reader = AiohttpReader()
    yield reader
    reader.close()


def name(path: Path) -> str:
    return path.name


@pytest.mark.parametrize("seed", seeds("recognise"), ids=name)
def test_a_seed_of_recognise(aiohttp: AiohttpReader, seed: Path) -> None:
    """Names say what is taken, so that the seeds keep on reaching what they are for."""
    assert check_request(seed.read_bytes(), aiohttp) is not seed.name.startswith("other-")


@pytest.mark.parametrize("seed", seeds("answers"), ids=name)
def test_a_seed_of_answers(aiohttp: AiohttpReader, seed: Path) -> None:
    method, ended, cuts, answer = taken_apart(seed.read_bytes())
    read = check_answer(answer, cuts, aiohttp, method=method, ended=ended)
    assert (read is None) is seed.name.startswith("other-")
