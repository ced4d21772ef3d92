"""`plat invoke`: call a function as a client does, its answer to stdout as it comes."""

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import click
import msgspec

from cli.failure import FailedError, UsageFaultError
from cli.session import name_argument, talk
from plat.client import PlatClient, StreamedAnswer
from plat.decoding import UNREADABLE

SNIFFED_BYTES = 1024 * 1024
"""A body up to this size is looked at for its content type; a larger one is sent as bytes."""

Body = bytes | Path | None


@click.command()
@name_argument
@click.option("-d", "--data", help="The body: text, @FILE, or - for stdin. JSON is sent as JSON.")
@click.option("-H", "--header", "headers", multiple=True, help='A header, as "Name: value".')
@click.option("-X", "--method", help="Default: GET, or POST with a body.")
@click.option("--path", default="/", help="Path and query below the function.")
@click.option("--version", type=click.IntRange(min=1), help="Call this version, not the live one.")
@click.option("--json", "as_json", is_flag=True, help="Show an error of the platform as JSON.")
def invoke(
    name: str,
    *,
    data: str | None,
    headers: tuple[str, ...],
    method: str | None,
    path: str,
    version: int | None,
    as_json: bool,  # read by `cli.main`, for errors
) -> None:
    """Call a function. Its answer's body goes to stdout; status 1 if the answer's status is 400 or more."""
    body = read_body(data)
    sent = {"Content-Type": content_type(body)} if body is not None else {}
    sent |= dict(parse_header(each) for each in headers)

    async def call(plat: PlatClient) -> int:
        verb = method.upper() if method else None
        async with plat.stream(name, body, headers=sent, path=path, method=verb, version=version) as answer:
            await _print(answer)
            return answer.status

    status = talk(call, name)
    if status >= 400:
        raise FailedError(f"{name} answered {status}.")


def read_body(data: str | None) -> Body:
    """A large file stays a path and is streamed."""
    match data:
        case None:
            return None
        case "-":
            return sys.stdin.buffer.read()
        case _ if data.startswith("@"):
            return _read_file(Path(data[1:]))
        case _:
            return data.encode()


def _read_file(path: Path) -> Body:
    if not path.is_file():
        raise UsageFaultError(f"{path} is no file: give -d @FILE one that exists.")
    return path.read_bytes() if path.stat().st_size <= SNIFFED_BYTES else path


def content_type(body: bytes | Path) -> str:
    if isinstance(body, Path) or len(body) > SNIFFED_BYTES:
        return "application/octet-stream"
    try:
        msgspec.json.decode(body)
        return "application/json"
    except UNREADABLE:
        pass
    try:
        body.decode()
        return "text/plain; charset=utf-8"
    except UnicodeDecodeError:
        return "application/octet-stream"


def parse_header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        raise UsageFaultError(f'"{text}" is no header: give it as "Name: value".')
    return name.strip().title(), value.strip()


async def _print(answer: StreamedAnswer) -> None:
    last = await _copy(answer.chunks())
    if sys.stdout.isatty() and last != b"\n":
        click.echo()


async def _copy(chunks: AsyncIterator[bytes]) -> bytes:
    """To stdout, each piece at once; the last byte that was written."""
    last = b"\n"
    output = sys.stdout.buffer
    async for chunk in chunks:
        output.write(chunk)
        output.flush()
        last = chunk[-1:]
    return last
