"""The rules of functions and versions: what a spec may say, what a change means, what others see.

Plain functions, no I/O: `control.store` keeps the rows, `control.catalog` puts both together.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from control.rows import FunctionRow, VersionRow
from control.secret_book import SecretBook
from plat.decoding import convert
from plat.errors import PlatError
from plat.feed import FunctionEntry, VersionEntry
from plat.model import (
    Artifact,
    Function,
    FunctionSpec,
    Hmac,
    ScaleChange,
    Version,
    VersionSpec,
    is_function_name,
)
from plat.signing import Signing, key_of, keys_of

VERSIONS_IN_FEED = 50
"""How many of its newest ready versions a function has in the feed, besides the live one."""

NAME_RULE = "expected 1 to 63 lower-case letters, digits and inner hyphens"


def require_name(name: str) -> None:
    """For changes: a name that no function can have is a mistake. Raises PlatError `invalid`."""
    if not is_function_name(name):
        raise PlatError("invalid", f'"{name}" cannot be a function\'s name: {NAME_RULE}.')


def function_not_found(name: str) -> PlatError:
    return PlatError(
        "function_not_found", f'There is no function "{name}". `plat list` shows those there are.'
    )


def version_not_found(name: str, number: object) -> PlatError:
    return PlatError("version_not_found", f'The function "{name}" has no version {number}.')


def merged_spec(name: str, body: Any) -> FunctionSpec:
    """The spec that a `PUT` of parsed JSON asks for; the path's name may be left out of it.

    Raises PlatError `invalid` naming key, value, range and the nearest known key.
    """
    if isinstance(body, Mapping) and (given := body.get("name", name)) != name:
        raise PlatError(
            "invalid", f'name = {given!r}: the path says "{name}". Leave it out, or make them equal.'
        )
    return convert({**body, "name": name} if isinstance(body, Mapping) else body, FunctionSpec)


def scaled(spec: FunctionSpec, change: ScaleChange) -> FunctionSpec:
    """The spec with other bounds; what is left out stays. Raises PlatError `invalid` if min > max."""
    given = msgspec.structs.asdict(change)
    kept = {key: value for key, value in given.items() if value is not None}
    try:
        scale = msgspec.structs.replace(spec.scale, **kept)
    except ValueError as error:
        raise PlatError("invalid", f"scale.{error}.") from error
    return msgspec.structs.replace(spec, scale=scale)


def is_unchanged(live: VersionRow | None, artifact: Artifact, spec: VersionSpec) -> bool:
    """Whether a deploy of `artifact` under `spec` would only repeat the live version."""
    return live is not None and live.digest == artifact.digest and live.spec == spec


def require_deployable(version: VersionRow) -> None:
    """Raises PlatError `version_not_deployable` unless the version is ready."""
    if version.state == "ready":
        return
    why = f" ({version.error.detail})" if version.error else ""
    raise PlatError(
        "version_not_deployable",
        f'Version {version.number} of "{version.function}" is {version.state}{why}: expected a ready one.',
    )


def shown_function(row: FunctionRow, base_url: str) -> Function:
    return Function(
        name=row.name,
        spec=row.spec,
        live=row.live,
        stopped=row.stopped,
        url=f"{base_url}/function/{row.name}",
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def shown_version(row: VersionRow, live: int | None, *, unchanged: bool = False) -> Version:
    return Version(
        function=row.function,
        version=row.number,
        state=row.state,
        spec=row.spec,
        digest=row.digest,
        size_bytes=row.size_bytes,
        created_at=row.created_at,
        live=row.number == live,
        unchanged=unchanged,
        error=row.error,
    )


def version_entry(row: VersionRow, secrets: SecretBook) -> VersionEntry:
    return VersionEntry(
        id=row.id,
        function=row.function,
        number=row.number,
        digest=row.digest,
        spec=row.spec,
        secrets=secrets.values(row.spec.secrets),
    )


def function_entry(row: FunctionRow, versions: Iterable[VersionRow], secrets: SecretBook) -> FunctionEntry:
    """What the pool is told. `versions`: the ready ones that it may have to start."""
    return FunctionEntry(
        name=row.name,
        live=row.live,
        stopped=row.stopped,
        auth=row.spec.access.auth if row.spec.access.hmac is None else "signed",
        min=row.spec.scale.min,
        max=row.spec.scale.max,
        idle_s=row.spec.scale.idle_s,
        rate=row.spec.limits.rate,
        burst=row.spec.limits.burst,
        max_in_flight=row.spec.limits.max_in_flight,
        token_rate=row.spec.limits.token_rate,
        token_burst=row.spec.limits.token_burst,
        token_max_in_flight=row.spec.limits.token_max_in_flight,
        limit_fail=row.spec.limits.limit_fail,
        versions=tuple(version_entry(version, secrets) for version in versions),
        pause_after_s=row.spec.scale.pause_after_s,
        windows=tuple(row.spec.scale.window),
        cors=tuple(row.spec.access.cors),
        signing=signing_of(row.spec.access.hmac, secrets),
    )


def signing_of(hmac: Hmac | None, secrets: SecretBook) -> Signing | None:
    """What routers are told of it. A secret that is not at hand leaves its key out."""
    if hmac is None:
        return None
    values = secrets.values(hmac.secrets).by_name
    found = [values[name] for name in hmac.secrets if name in values]
    return Signing(hmac.header, hmac.algorithm, keys_of(hmac.algorithm, found))


def require_keys(hmac: Hmac | None, secrets: SecretBook) -> None:
    """Raises PlatError `unknown_secret`, or `invalid` for one that nobody can sign with."""
    if hmac is None:
        return
    secrets.require(hmac.secrets)
    values = secrets.values(hmac.secrets).by_name
    for name in hmac.secrets:
        if key_of(hmac.algorithm, values[name]) is None:
            expected = "whsec_ and base64" if hmac.algorithm == "standard-webhooks" else "some text"
            raise PlatError(
                "invalid",
                f'access.hmac.secret = "{name}": its value is no key for algorithm = "{hmac.algorithm}": '
                f"expected {expected}. Set it again with `plat secret set {name}`.",
            )
