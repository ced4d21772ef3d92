"""Commands on functions that are there: list, show, scale, stop, start, rollback, delete."""

import sys
from collections.abc import Sequence

import click
from msgspec import Struct

from cli.failure import FailedError, UsageFaultError
from cli.render import Row, print_json, print_pairs, print_table, size
from cli.session import json_option, name_argument, talk
from plat.client import PlatClient
from plat.model import Access, Function, Instance, Scale, Version


class Shown(Struct, frozen=True):
    """Everything `plat show` shows."""

    function: Function
    versions: list[Version]
    instances: list[Instance]


@click.command("list")
@json_option
def list_(as_json: bool) -> None:
    """List the functions."""
    functions = talk(PlatClient.list)
    if as_json:
        print_json(functions)
    elif functions:
        columns = ("NAME", "RUNTIME", "STATE", "LIVE", "MIN", "MAX", "ACCESS", "URL")
        print_table(columns, [_function_row(each) for each in functions])
    else:
        click.echo("No functions yet: make one with `plat init NAME`, then `plat deploy`.", err=True)


def _function_row(function: Function) -> Row:
    spec = function.spec
    return (
        function.name,
        spec.runtime,
        state_of(function),
        function.live,
        spec.scale.min,
        spec.scale.max,
        access_of(spec.access),
        function.url,
    )


def access_of(access: Access) -> str:
    return access.auth if access.hmac is None else "signed"


def state_of(function: Function) -> str:
    if function.stopped:
        return "stopped"
    return "new" if function.live is None else "live"


@click.command()
@name_argument
@json_option
def show(name: str, as_json: bool) -> None:
    """Show a function, its versions and its instances."""

    async def read(plat: PlatClient) -> Shown:
        return Shown(
            function=await plat.get(name),
            versions=await plat.versions(name),
            instances=await plat.instances(name),
        )

    shown = talk(read, name)
    if as_json:
        print_json(shown)
    else:
        _print_shown(shown)


def _print_shown(shown: Shown) -> None:
    print_pairs(_function_pairs(shown.function))
    if shown.versions:
        click.echo()
        columns = ("VERSION", "STATE", "LIVE", "SIZE", "HANDLER", "CREATED", "DIGEST")
        print_table(columns, [_version_row(each) for each in shown.versions])
    if shown.instances:
        click.echo()
        columns = ("INSTANCE", "VERSION", "STATE", "DRIVER", "SLOTS", "HELD", "STARTED")
        print_table(columns, [_instance_row(each) for each in shown.instances])


def _function_pairs(function: Function) -> list[tuple[str, object]]:
    spec = function.spec
    rate = "unlimited" if spec.limits.rate is None else f"{spec.limits.rate:g} a second"
    return [
        ("name", function.name),
        ("url", function.url),
        ("state", state_of(function)),
        ("live", function.live),
        ("runtime", spec.runtime),
        ("handler", spec.handler),
        ("access", access_of(spec.access)),
        ("cors", " ".join(spec.access.cors) or None),
        ("instances", f"{spec.scale.min} to {spec.scale.max}"),
        *(("window", f"at least {window.min} in {window.cron}") for window in spec.scale.window),
        ("idle", _idle(spec.scale)),
        ("concurrency", spec.scale.concurrency or "unlimited"),
        ("timeout", f"{spec.limits.timeout_s:g} s"),
        ("memory", f"{spec.limits.memory_mb} MB"),
        ("cpu", f"{spec.limits.cpu:g}"),
        ("rate", rate),
        ("env", " ".join(sorted(spec.env)) or None),
        ("created", function.created_at),
        ("updated", function.updated_at),
    ]


def _idle(scale: Scale) -> str:
    """What happens to an instance without a call."""
    stopped = f"stopped after {scale.idle_s:g} s"
    is_paused = scale.pause_after_s < scale.idle_s
    return f"paused after {scale.pause_after_s:g} s, {stopped}" if is_paused else stopped


def _version_row(version: Version) -> Row:
    return (
        version.version,
        version.state,
        version.live,
        size(version.size_bytes),
        version.spec.handler,
        version.created_at,
        version.digest[:12],
    )


def _instance_row(instance: Instance) -> Row:
    return (
        instance.id,
        instance.version,
        instance.state,
        instance.driver,
        instance.slots or "unlimited",
        instance.slots_held,
        instance.started_at,
    )


@click.command()
@name_argument
@click.option("--min", "minimum", type=click.IntRange(0, 1000), help="Instances kept when idle.")
@click.option("--max", "maximum", type=click.IntRange(1, 1000), help="Instances at most.")
@click.option(
    "--pause-after", type=click.FloatRange(0.1, 86_400), help="Seconds without a call until paused."
)
@json_option
def scale(
    name: str, minimum: int | None, maximum: int | None, pause_after: float | None, as_json: bool
) -> None:
    """Set how many instances there are at least and at most, and when idle ones are paused."""
    if minimum is maximum is pause_after is None:
        raise UsageFaultError("Give one of --min, --max and --pause-after, or several.")
    function = talk(lambda plat: plat.scale(name, minimum, maximum, pause_after), name)
    limits = function.spec.scale
    sentence = f"{name} has {limits.min} to {limits.max} instances; an idle one is {_idle(limits)}."
    _done(function, sentence, as_json)


@click.command()
@name_argument
@json_option
def stop(name: str, as_json: bool) -> None:
    """Stop a function: calls are answered 503, and no instance runs."""
    _done(talk(lambda plat: plat.stop(name), name), f"{name} is stopped.", as_json)


@click.command()
@name_argument
@json_option
def start(name: str, as_json: bool) -> None:
    """Start a function that was stopped."""
    _done(talk(lambda plat: plat.start(name), name), f"{name} is started.", as_json)


@click.command()
@name_argument
@click.argument("version", type=click.IntRange(min=1), required=False)
@json_option
def rollback(name: str, version: int | None, as_json: bool) -> None:
    """Make an earlier VERSION live again: the one before the live one, if none is given."""

    async def roll_back(plat: PlatClient) -> Function:
        number = version or previous_ready(await plat.get(name), await plat.versions(name))
        return await plat.set_live(name, number)

    function = talk(roll_back, name)
    _done(function, f"Version {function.live} of {name} is live.", as_json)


def previous_ready(function: Function, versions: Sequence[Version]) -> int:
    """The newest version before the live one that can serve. Raises FailedError if there is none."""
    live = function.live
    if live is None:
        raise FailedError(f"{function.name} has no live version to go back from: deploy one.")
    earlier = [each.version for each in versions if each.state == "ready" and each.version < live]
    if not earlier:
        raise FailedError(f"{function.name} has no version before {live} that can serve.")
    return max(earlier)


@click.command()
@name_argument
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
def delete(name: str, yes: bool, as_json: bool) -> None:
    """Delete a function with all its versions."""
    if not yes:
        _ask(name)
    talk(lambda plat: plat.delete(name), name)
    if as_json:
        print_json({"function": name, "deleted": True})
    else:
        click.echo(f"{name} is deleted.")


def _ask(name: str) -> None:
    if not sys.stdin.isatty():
        raise UsageFaultError(f"Deleting {name} cannot be undone: say so with --yes.")
    if not click.confirm(f"Delete {name} with all its versions?", err=True):
        raise FailedError(f"{name} was not deleted.")


def _done(function: Function, sentence: str, as_json: bool) -> None:
    if as_json:
        print_json(function)
    else:
        click.echo(sentence)
