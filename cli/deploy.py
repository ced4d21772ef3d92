"""`plat deploy`: a folder becomes the live version of a function."""

import asyncio
import shlex
import tempfile
from collections.abc import Callable
from pathlib import Path

import click
from msgspec import Struct

from cli.config import curl_header
from cli.failure import UsageFaultError
from cli.packing import Packed, pack
from cli.project import entries, read_project
from cli.render import print_json, size, steps
from cli.session import json_option, talk
from cli.vendor import dependencies
from plat.client import PlatClient
from plat.credentials import Access
from plat.model import FunctionSpec

Report = Callable[[str], None]


class Deployed(Struct, frozen=True):
    """The result as --json prints it. `curl` works as it is, in the user's shell."""

    function: str
    version: int
    unchanged: bool
    url: str
    curl: str


@click.command()
@click.argument("folder", metavar="[DIR]", type=click.Path(path_type=Path), default=".")
@json_option
def deploy(folder: Path, as_json: bool) -> None:
    """Make the function in DIR (default: here) live."""
    with steps(quiet=as_json) as report:
        deployed = talk(lambda plat: deploy_folder(plat, folder, report))
    if as_json:
        print_json(deployed)
    else:
        click.echo(summary(deployed))


async def deploy_folder(plat: PlatClient, folder: Path, report: Report) -> Deployed:
    """Raises PlatError or FailedError; the version that was live before then stays live."""
    if not folder.is_dir():
        raise UsageFaultError(f"{folder} is no folder: name the one with the function's plat.toml.")
    spec = read_project(folder)
    with tempfile.TemporaryDirectory(prefix="plat-deploy-") as temporary:
        target = Path(temporary) / "code.zip"
        packed = await asyncio.to_thread(pack_folder, folder, spec, target, report)
        return await _send(plat, spec, packed, report)


def pack_folder(folder: Path, spec: FunctionSpec, target: Path, report: Report) -> Packed:
    """The function's own files and its dependencies, as one zip."""
    report("Packing")
    own = entries(folder)
    if not own:
        raise UsageFaultError(f"{folder} has no files to deploy.")
    return pack([*own, *dependencies(folder, spec, report)], target)


async def _send(plat: PlatClient, spec: FunctionSpec, packed: Packed, report: Report) -> Deployed:
    await plat.put(spec)
    files = "1 file" if packed.files == 1 else f"{packed.files} files"
    report(f"Uploading {files}, {size(packed.size_bytes)}")
    version = await plat.deploy(spec.name, packed.path, lambda: report("Starting"))
    url = f"{plat.url}/function/{spec.name}"
    return Deployed(
        function=spec.name,
        version=version.version,
        unchanged=version.unchanged,
        url=url,
        curl=curl_line(url, plat.access, public=spec.access.auth == "public"),
    )


def curl_line(url: str, access: Access, *, public: bool) -> str:
    """A line to paste that calls the function, with no token in it."""
    return " ".join(["curl", *([] if public else [curl_header(access)]), shlex.quote(url)])


def summary(deployed: Deployed) -> str:
    if deployed.unchanged:
        first = f"Unchanged: version {deployed.version} is live already."
    else:
        first = f"Version {deployed.version} of {deployed.function} is live."
    return f"{first}\n{deployed.url}\n{deployed.curl}"
