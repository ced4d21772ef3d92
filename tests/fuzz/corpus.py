"""The seeds that fuzzing starts from, and what an input of `fuzz_answers` means."""

from pathlib import Path

FOLDER = Path(__file__).parent / "corpus"
PLACES = 4


def seeds(name: str) -> list[Path]:
    """The files of `corpus/<name>`."""
    return sorted((FOLDER / name).iterdir())


def taken_apart(data: bytes) -> tuple[str, bool, list[int], bytes]:
    """Method, whether the connection ends after the answer, where it is cut, and the answer.

    One byte of flags, then four distances from one cut to the next.
    """
    flags, distances, answer = data[:1], data[1 : 1 + PLACES], data[1 + PLACES :]
    flag = flags[0] if flags else 0
    cuts = [sum(distances[: count + 1]) for count in range(len(distances))]
    return "HEAD" if flag & 1 else "GET", bool(flag & 2), cuts, answer
