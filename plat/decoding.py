"""Untyped data (parsed JSON or TOML) to a typed struct, with errors that a person can act on.

The message names the key, the value, what is allowed there, and the nearest known key.
"""

from collections.abc import Iterator, Mapping
from types import UnionType
from typing import Annotated, Any, TypeVar, get_args, get_origin

import msgspec
from msgspec import inspect

from plat.errors import PlatError
from plat.nearest import did_you_mean

T = TypeVar("T")

SHOWN_CHARACTERS = 80

UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What `msgspec.json.decode` raises for bytes that are no JSON, not UTF-8, or nested without end."""


def convert(value: Any, kind: type[T]) -> T:
    """`value` as a `kind`. Raises PlatError `invalid` naming the first key that is wrong."""
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        detail = next(_faults(value, kind, ""), str(error))
        raise PlatError("invalid", detail) from error


def describe(kind: Any) -> str:
    """What values a type allows, in words: `a whole number from 1 to 1000`."""
    return _describe(inspect.type_info(kind))


def _faults(value: Any, kind: Any, path: str) -> Iterator[str]:
    """What is wrong with `value`, the outermost key first."""
    kind = _table_kind(kind) if isinstance(value, Mapping) else kind
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct) and isinstance(value, Mapping):
        yield from _struct_faults(value, kind, path)
    elif get_origin(kind) is dict and isinstance(value, Mapping):
        yield from _mapping_faults(value, *get_args(kind), path=path)
    elif (item_kind := _item_kind(kind)) is not None and isinstance(value, list):
        yield from _list_faults(value, kind, item_kind, path)
    elif not _fits(value, kind):
        yield f"{path or 'The whole'} = {_shown(value)}: expected {describe(kind)}."


def _table_kind(kind: Any) -> Any:
    """The struct of an optional one; another kind as it is."""
    structs = [each for each in get_args(kind) if isinstance(each, type) and issubclass(each, msgspec.Struct)]
    return structs[0] if len(structs) == 1 and isinstance(kind, UnionType) else kind


def _struct_faults(value: Mapping[str, Any], kind: type[msgspec.Struct], path: str) -> Iterator[str]:
    fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    for key in value:
        if key not in fields:
            yield f'Unknown key "{_join(path, key)}".{_suggestion(path, key, fields)}'
    for key, field in fields.items():
        if key in value:
            yield from _faults(value[key], field.type, _join(path, key))
        elif field.required:
            yield f'The key "{_join(path, key)}" is missing: expected {describe(field.type)}.'
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError as error:  # each key by itself is right: a rule of the struct's own
        yield _join(path, str(error).partition(" - at `$")[0]) + "."


def _suggestion(path: str, key: str, known: Mapping[str, Any]) -> str:
    return did_you_mean(_join(path, key), [_join(path, each) for each in known]) or (
        f" Known keys: {', '.join(sorted(known))}."
    )


def _mapping_faults(value: Mapping[str, Any], key_kind: Any, value_kind: Any, *, path: str) -> Iterator[str]:
    for key, item in value.items():
        if not _fits(key, key_kind):
            yield f'Bad name "{key}" in {path}: expected {describe(key_kind)}.'
        yield from _faults(item, value_kind, _join(path, key))


def _item_kind(kind: Any) -> Any:
    """What a list holds, its length limited or not; None for another kind."""
    bare = get_args(kind)[0] if get_origin(kind) is Annotated else kind
    return get_args(bare)[0] if get_origin(bare) is list else None


def _list_faults(value: list[Any], kind: Any, item_kind: Any, path: str) -> Iterator[str]:
    for number, item in enumerate(value):
        yield from _faults(item, item_kind, f"{path}[{number}]")
    if not _fits(value, kind):
        yield f"{path or 'The whole'} = (a list of {len(value)}): expected {describe(kind)}."


def _fits(value: Any, kind: Any) -> bool:
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError:
        return False
    return True


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _shown(value: Any) -> str:
    match value:
        case Mapping():
            return "(a table)"
        case list():
            return "(a list)"
        case str() | bool() | None:
            text = msgspec.json.encode(value).decode()
        case _:
            text = str(value)
    return text if len(text) <= SHOWN_CHARACTERS else text[: SHOWN_CHARACTERS - 1] + "…"


def _describe(info: inspect.Type) -> str:
    match info:
        case inspect.Metadata(type=inner, extra_json_schema=schema):
            said = (schema or {}).get("description", "") if isinstance(inner, inspect.StrType) else ""
            return said or _describe(inner)
        case inspect.UnionType(types=types):
            return " or ".join(_describe(each) for each in types if not isinstance(each, inspect.NoneType))
        case inspect.IntType():
            return "a whole number" + _range(info)
        case inspect.FloatType():
            return "a number" + _range(info)
        case inspect.LiteralType(values=values):
            return " or ".join(f'"{each}"' for each in sorted(values, key=str))
        case _:
            return _describe_plain(info)


_PLAIN: dict[type[inspect.Type], str] = {
    inspect.StrType: "text",
    inspect.BoolType: "true or false",
    inspect.StructType: "a table",
    inspect.DictType: "a table",
    inspect.ListType: "a list",
}


def _describe_plain(info: inspect.Type) -> str:
    if isinstance(info, inspect.ListType) and info.max_length is not None:
        return f"a list of at most {info.max_length}"
    return _PLAIN.get(type(info), type(info).__name__.removesuffix("Type").lower())


def _range(info: inspect.IntType | inspect.FloatType) -> str:
    if info.ge is not None and info.le is not None:
        return f" from {_number(info.ge)} to {_number(info.le)}"
    bounds = [
        ("more than", info.gt),
        ("at least", info.ge),
        ("less than", info.lt),
        ("at most", info.le),
    ]
    said = [f"{word} {_number(bound)}" for word, bound in bounds if bound is not None]
    return " of " + " and ".join(said) if said else ""


def _number(bound: float) -> str:
    return str(int(bound)) if bound == int(bound) else str(bound)
