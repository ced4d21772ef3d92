"""The results folder: one JSON file and one SVG a question, and the page made from all of them."""

from pathlib import Path

import msgspec

from bench import report
from bench.figures import Result


def save(folder: Path, result: Result) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    text = msgspec.json.format(msgspec.json.encode(result), indent=1)
    (folder / f"{result.question}.json").write_bytes(text + b"\n")


def read(folder: Path) -> dict[str, Result]:
    """By question. Raises msgspec.ValidationError for a file that is no Result."""
    files = sorted(folder.glob("*.json"))
    results = (msgspec.json.decode(each.read_bytes(), type=Result) for each in files)
    return {each.question: each for each in results}


def publish(folder: Path) -> Path:
    """Make page and plots anew; the page's path."""
    results = read(folder)
    for name, result in results.items():
        (folder / f"{name}.svg").write_text(report.plot(result))
    page = folder / "README.md"
    page.write_text(report.page(results))
    return page
