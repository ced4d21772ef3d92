"""Where the platform is and how to be let in: `PLAT_URL` and `PLAT_TOKEN`, then the CLI's config file.

Reads only; `cli.config` writes the file.
"""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from msgspec import Struct

from plat.decoding import convert
from plat.errors import PlatError

DEFAULT_URL = "http://127.0.0.1:8080"

TokenSource = Literal["argument", "environment", "config", "none"]


class SavedAccess(Struct, frozen=True, forbid_unknown_fields=True):
    """What the config file holds."""

    url: str = DEFAULT_URL
    token: str | None = None


class Access(Struct, frozen=True):
    """An address without a slash at its end, a token, and where that came from."""

    url: str
    token: str | None
    token_source: TokenSource


def config_path(environ: Mapping[str, str] | None = None) -> Path:
    """`$PLAT_CONFIG`, else `plat/config.toml` in `$XDG_CONFIG_HOME` (`~/.config`)."""
    environ = os.environ if environ is None else environ
    if given := environ.get("PLAT_CONFIG"):
        return Path(given).expanduser()
    base = environ.get("XDG_CONFIG_HOME") or "~/.config"
    return Path(base).expanduser() / "plat" / "config.toml"


def read_saved(path: Path) -> SavedAccess:
    """The config file, or the defaults where there is none. Raises PlatError `invalid`."""
    try:
        return convert(tomllib.loads(path.read_text()), SavedAccess)
    except FileNotFoundError:
        return SavedAccess()
    except PlatError as error:
        raise PlatError("invalid", f"{path}: {error.detail}") from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise PlatError("invalid", f"{path} cannot be read: {error}") from error


def find_access(
    url: str | None = None, token: str | None = None, environ: Mapping[str, str] | None = None
) -> Access:
    """What was given, then the environment, then the config file."""
    environ = os.environ if environ is None else environ
    saved = read_saved(config_path(environ))
    found_url = url or environ.get("PLAT_URL") or saved.url
    found, source = _first_token(token, environ.get("PLAT_TOKEN"), saved.token)
    return Access(url=found_url.rstrip("/"), token=found, token_source=source)


def _first_token(given: str | None, set_: str | None, saved: str | None) -> tuple[str | None, TokenSource]:
    if given:
        return given, "argument"
    if set_:
        return set_, "environment"
    return (saved, "config") if saved else (None, "none")
