"""How a fuzz target is run: with its seeds, a dictionary, and a folder of its own for what it finds."""

import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import atheris

from tests.fuzz.corpus import FOLDER

DICTIONARY = Path(__file__).parent / "http.dict"


def run(one_input: Callable[[bytes], None], name: str) -> None:
    """Until libFuzzer's limits are reached, or it finds an input that fails, which it saves.

    New inputs go to a folder beside the seeds (PLAT_FUZZ_FOLDER, else a temporary one): the first folder
    is the one that libFuzzer writes to.
    """
    found = os.environ.get("PLAT_FUZZ_FOLDER") or tempfile.mkdtemp(prefix=f"plat-fuzz-{name}-")
    defaults = ["-max_len=1024", f"-dict={DICTIONARY}", f"-artifact_prefix={found}/"]
    folders = [] if any(Path(each).exists() for each in sys.argv[1:]) else [found, str(FOLDER / name)]
    atheris.Setup([sys.argv[0], *defaults, *sys.argv[1:], *folders], one_input)
    atheris.Fuzz()
