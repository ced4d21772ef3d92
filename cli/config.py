"""The CLI's own files: `config.toml` (address and token) and `curl-auth` (the header for curl).

Both are readable by their owner only, and replaced whole, never half-written.
"""

import json
import os
import shlex
import tempfile
from pathlib import Path

from cli.failure import FailedError
from plat.credentials import Access, SavedAccess, config_path, read_saved

CURL_AUTH = "curl-auth"


def curl_auth_path() -> Path:
    """A file with one header line, for `curl -H @<file>`: so the token is in no process list."""
    return config_path().parent / CURL_AUTH


def saved_token() -> str | None:
    return read_saved(config_path()).token


def save(access: SavedAccess) -> None:
    """Raises FailedError naming the file when it cannot be written."""
    lines = [f"url = {json.dumps(access.url)}"]
    if access.token is not None:
        lines.append(f"token = {json.dumps(access.token)}")
    path = config_path()
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        _replace(path, "\n".join(lines) + "\n")
        if access.token is not None:
            _replace(path.parent / CURL_AUTH, f"Authorization: Bearer {access.token}\n")
    except OSError as error:
        raise FailedError(f"{path} cannot be written: {error.strerror}.") from error


def curl_header(access: Access) -> str:
    """The part of a curl line that authorizes it, without the token in it."""
    if access.token_source == "environment":  # noqa: S105 - a word, no secret
        return '-H "Authorization: Bearer $PLAT_TOKEN"'
    return f"-H {shlex.quote('@' + str(curl_auth_path()))}"


def _replace(path: Path, text: str) -> None:
    """mkstemp makes the file with mode 600; the rename puts it in place whole."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
