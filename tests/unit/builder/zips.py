"""Zips for tests, good ones and bad ones, as bytes."""

import io
import stat
import struct
import zlib
from collections.abc import Callable
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

LINK = stat.S_IFLNK | 0o777


def entry(name: str, mode: int = 0, method: int = ZIP_DEFLATED) -> ZipInfo:
    info = ZipInfo(name)
    info.external_attr = mode << 16
    info.compress_type = method
    return info


def zip_of(*entries: tuple[str | ZipInfo, bytes | str]) -> bytes:
    """A zip of (name, content); a ZipInfo in place of a name sets mode and method."""
    output = io.BytesIO()
    with ZipFile(output, "w", ZIP_DEFLATED) as archive:
        for name, content in entries:
            archive.writestr(name if isinstance(name, ZipInfo) else entry(name), content)
    return output.getvalue()


def links(*pairs: tuple[str, str]) -> bytes:
    """A zip of one file and of links (path, target)."""
    return zip_of(("file", "x"), *((entry(path, LINK), target) for path, target in pairs))


def renamed(placeholder: str, name: bytes, *others: tuple[str | ZipInfo, bytes | str]) -> bytes:
    """A zip whose entry `placeholder` has other name bytes of the same length, flags untouched."""
    assert len(placeholder.encode()) == len(name)
    return zip_of((placeholder, "x"), *others).replace(placeholder.encode(), name)


def with_flag(data: bytes, flag: int) -> bytes:
    """Set a general purpose flag in every local and central header."""

    def set_flag(buffer: bytearray, at: int) -> None:
        (flags,) = struct.unpack_from("<H", buffer, at)
        struct.pack_into("<H", buffer, at, flags | flag)

    return _patched(data, local=lambda b, at: set_flag(b, at + 6), central=lambda b, at: set_flag(b, at + 8))


def with_method(data: bytes, method: int) -> bytes:
    def set_method(offset: int) -> Callable[[bytearray, int], None]:
        return lambda buffer, at: struct.pack_into("<H", buffer, at + offset, method)

    return _patched(data, local=set_method(8), central=set_method(10))


def with_size(data: bytes, size: int) -> bytes:
    """Claim another unpacked size in every header."""

    def set_size(offset: int) -> Callable[[bytearray, int], None]:
        return lambda buffer, at: struct.pack_into("<I", buffer, at + offset, size)

    return _patched(data, local=set_size(22), central=set_size(24))


def with_crc(data: bytes, crc: int) -> bytes:
    def set_crc(offset: int) -> Callable[[bytearray, int], None]:
        return lambda buffer, at: struct.pack_into("<I", buffer, at + offset, crc)

    return _patched(data, local=set_crc(14), central=set_crc(16))


def _patched(
    data: bytes, *, local: Callable[[bytearray, int], None], central: Callable[[bytearray, int], None]
) -> bytes:
    buffer = bytearray(data)
    for signature, patch in ((b"PK\x03\x04", local), (b"PK\x01\x02", central)):
        at = buffer.find(signature)
        while at >= 0:
            patch(buffer, at)
            at = buffer.find(signature, at + 4)
    return bytes(buffer)


def overlapping(copies: int) -> bytes:
    """One packed kernel that many entries of the table of contents point at, each by its own name."""
    content = b"\0" * 1_000_000
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    kernel = packer.compress(content) + packer.flush()
    names = [b"f%03d" % number for number in range(copies)]
    crc = zlib.crc32(content)
    head = struct.pack("<HHHHHIIIHH", 20, 0, 8, 0, 33, crc, len(kernel), len(content), len(names[0]), 0)
    local = b"PK\x03\x04" + head + names[0] + kernel
    rest = struct.pack("<HHHII", 0, 0, 0, 0, 0)
    central = b"".join(b"PK\x01\x02" + struct.pack("<H", 20) + head + rest + name for name in names)
    return local + central + end_record(copies, len(central), len(local))


def end_record(entries: int, central_bytes: int, central_at: int) -> bytes:
    claimed = min(entries, 0xFFFF)
    return struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, claimed, claimed, central_bytes, central_at, 0)


def crowded(entries: int) -> bytes:
    """A table of contents of many nameless rows, which costs 46 bytes of upload each."""
    row = b"PK\x01\x02" + bytes(42)
    return row * entries + end_record(entries, len(row) * entries, 0)


def quoting() -> bytes:
    """Two sound entries, the second of which lies inside the stored content of the first."""
    inner_local, inner_central = _stored_entry(b"inner", b"x" * 100, at=30 + len(b"outer"))
    outer_local, outer_central = _stored_entry(b"outer", inner_local, at=0)
    central = outer_central + inner_central
    return outer_local + central + end_record(2, len(central), len(outer_local))


def _stored_entry(name: bytes, content: bytes, at: int) -> tuple[bytes, bytes]:
    size = len(content)
    head = struct.pack("<HHHHHIIIHH", 20, 0, 0, 0, 33, zlib.crc32(content), size, size, len(name), 0)
    rest = struct.pack("<HHHII", 0, 0, 0, 0, at)
    return b"PK\x03\x04" + head + name + content, b"PK\x01\x02" + struct.pack("<H", 20) + head + rest + name
