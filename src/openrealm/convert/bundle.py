"""Reader of TensorFlow's tensor bundles in plain Python: a sorted table of names (`.index`) and raw values (`.data-…`).

The table has LevelDB's format (blocks of prefix-compressed keys, a footer with a magic number); its values are two
small protocol buffers. See tensorflow/core/util/tensor_bundle and tensorflow/core/protobuf/tensor_bundle.proto.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from openrealm.errors import BadInput

_MAGIC = 0xDB4775248B80FB57
_FOOTER_BYTES = 48
_TRAILER_BYTES = 5  # type of compression, then a checksum
_SNAPPY = 1
# Numbers of TensorFlow's DataType. A bfloat16 is the upper half of a float32.
_TYPES = {1: "<f4", 2: "<f8", 3: "<i4", 4: "u1", 5: "<i2", 6: "i1", 9: "<i8", 10: "?", 14: "<u2", 19: "<f2"}
_STRING, _BFLOAT16 = 7, 14
_DTYPE, _SHAPE, _SHARD, _OFFSET, _SIZE, _SLICES = 1, 2, 3, 4, 5, 7  # fields of BundleEntryProto


def read_bundle(index: Path) -> dict[str, npt.NDArray[Any]]:
    """All tensors of a bundle by name, memory-mapped, except strings, which no network has.

    index  the `.index` file; `.data-00000-of-00001` is expected in the same folder
    Raises BadInput naming the file and the tensor if it is damaged, truncated or of an unsupported type.
    """
    prefix = index.with_suffix("")
    try:
        entries = {key.decode(): _fields(value) for key, value in _table(index.read_bytes(), index)}
        num_shards = int(_one(entries.pop("", {}), 1, 1))
        shards = [prefix.with_name(f"{prefix.name}.data-{i:05}-of-{num_shards:05}") for i in range(num_shards)]
        return {
            name: _tensor(name, entry, shards) for name, entry in entries.items() if _one(entry, _DTYPE, 0) != _STRING
        }
    except (IndexError, struct.error, UnicodeDecodeError, ValueError) as error:
        raise BadInput(f"{index} is damaged or not a tensor bundle ({error}); download it again.") from error


def _tensor(name: str, entry: dict[int, list[Any]], shards: list[Path]) -> npt.NDArray[Any]:
    dtype, shape = _one(entry, _DTYPE, 0), _shape(_one(entry, _SHAPE, b""))
    shard = shards[_one(entry, _SHARD, 0)]
    if dtype not in _TYPES or _SLICES in entry:
        kind = "stored in slices" if _SLICES in entry else f"of TensorFlow's data type {dtype}"
        raise BadInput(f"{shard}: {name} is {kind}, which is not supported; save it unpartitioned, as float32.")
    offset, size = _one(entry, _OFFSET, 0), _one(entry, _SIZE, 0)
    element = np.dtype(_TYPES[dtype])
    if size != element.itemsize * int(np.prod(shape, dtype=np.int64)):
        raise BadInput(f"{shard}: {name} has {size:,} bytes, too few or too many for {shape}; download it again.")
    if not shard.is_file() or shard.stat().st_size < offset + size:
        raise BadInput(f"{shard} is missing or truncated: {name} starts at byte {offset:,}; download it again.")
    if size == 0:
        return np.zeros(shape, element)
    array: npt.NDArray[Any] = np.memmap(shard, element, "r", offset, shape)
    return (array.astype(np.uint32) << 16).view(np.float32) if dtype == _BFLOAT16 else array


def _table(data: bytes, where: Path) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values of a sorted table, in order."""
    if len(data) < _FOOTER_BYTES or struct.unpack("<Q", data[-8:])[0] != _MAGIC:
        raise BadInput(f"{where} is not the index of a TensorFlow checkpoint, or is truncated; download it again.")
    footer = data[-_FOOTER_BYTES:]
    list(_block(data, footer, 0))  # the meta index is read for its checksum only
    _, place = _varint(footer, 0)
    _, place = _varint(footer, place)
    for _, handle in _block(data, footer, place):
        yield from _block(data, handle, 0)


def _block(data: bytes, handle: bytes, place: int) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values of the block that a handle (offset and size) refers to."""
    offset, place = _varint(handle, place)
    size, _ = _varint(handle, place)
    end = offset + size
    if end + _TRAILER_BYTES > len(data):
        raise ValueError(f"the block at byte {offset} extends past the end of the file")
    content, kind = data[offset:end], data[end]
    if _masked_crc32c(data[offset : end + 1]) != struct.unpack("<I", data[end + 1 : end + _TRAILER_BYTES])[0]:
        raise ValueError(f"the block at byte {offset} does not match its checksum")
    if kind == _SNAPPY:
        import pyarrow as pa

        content = pa.Codec("snappy").decompress(content, _varint(content, 0)[0], asbytes=True)
    num_restarts = struct.unpack("<I", content[-4:])[0]
    last, place, key = len(content) - 4 * (num_restarts + 1), 0, b""
    while place < last:
        shared, place = _varint(content, place)
        fresh, place = _varint(content, place)
        num_value, place = _varint(content, place)
        key = key[:shared] + content[place : place + fresh]
        place += fresh + num_value
        yield key, content[place - num_value : place]


def _shape(proto: bytes) -> tuple[int, ...]:
    """The shape in a TensorShapeProto: field 2 is a dimension, and field 1 of that its size."""
    return tuple(int(_one(_fields(dimension), 1, 0)) for dimension in _fields(proto).get(2, ()))


def _fields(proto: bytes) -> dict[int, list[Any]]:
    """The fields of a protocol buffer by number: integers or bytes."""
    found: dict[int, list[Any]] = {}
    place = 0
    while place < len(proto):
        tag, place = _varint(proto, place)
        number, wire = tag >> 3, tag & 7
        value: int | bytes
        if wire == 0:
            value, place = _varint(proto, place)
        else:
            size = {1: 8, 5: 4}.get(wire)
            if size is None:
                if wire != 2:
                    raise ValueError(f"unsupported wire type {wire}")
                size, place = _varint(proto, place)
            value, place = proto[place : place + size], place + size
        found.setdefault(number, []).append(value)
    return found


def _one(fields: dict[int, list[Any]], number: int, default: Any) -> Any:
    return fields.get(number, [default])[-1]


def _varint(data: bytes, place: int) -> tuple[int, int]:
    """An integer stored in seven bits per byte, and the position after it."""
    value = shift = 0
    while True:
        byte = data[place]
        value |= (byte & 0x7F) << shift
        place, shift = place + 1, shift + 7
        if not byte & 0x80:
            return value, place


def _crc_table() -> list[int]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = (value >> 1) ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return table


_CRC = _crc_table()


def _masked_crc32c(data: bytes) -> int:
    """CRC-32C (Castagnoli), rotated and shifted as the table's blocks store it."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _CRC[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
