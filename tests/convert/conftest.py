"""A small model with the released code's projection, its parts under other projects' names, and a writer of bundles."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
import torch

from openrealm.convert import names
from openrealm.model.realm import Realm

Arrays = dict[str, npt.NDArray[Any]]


@pytest.fixture(autouse=True)
def _one_thread(one_thread: None) -> None:
    """Small matrices only."""


@pytest.fixture(scope="session")
def released_realm(toy_realm: Callable[..., Realm]) -> Realm:
    """Separate towers, a span reader, Google's epsilons, and no weight at its initial value."""
    model = toy_realm(
        "model.projection=released", "model.norm_eps=1e-12", "model.span_norm_eps=1e-3", "model.dropout=0", seed=3
    )
    model.max_span_tokens = 10
    model.add_span_reader()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.2)
    return model.eval()


@pytest.fixture(scope="session")
def google_arrays(released_realm: Realm) -> Callable[[str], Arrays]:
    """`google_arrays("pretrained")` or `("finetuned")`: the model under the names of Google's checkpoints."""

    def part(kind: str, module: torch.nn.Module, scope: Callable[[str], str]) -> Arrays:
        arrays = {}
        for name, tensor in names.to_huggingface(kind, module.state_dict()).items():
            google = scope(names.tensorflow_name(kind, name))
            arrays[google] = tensor.numpy().T if google.endswith("/kernel") else tensor.numpy()
        return arrays

    def arrays(stage: str) -> Arrays:
        model = released_realm
        depth = "module/" * (2 if stage == "pretrained" else 3)
        tower = model.retriever.passage_tower if stage == "pretrained" else model.retriever.query_tower
        found = part(names.TOWER, tower, lambda n: depth + ("module/" + n if n.startswith("bert/") else n))
        if stage == "pretrained":
            found |= part(names.READER, model.reader, str)
        else:
            assert model.span_reader is not None
            found |= part(
                names.SPAN_READER,
                model.span_reader,
                lambda n: f"reader/module/{n}" if n.startswith("bert/") else f"reader/{n}",
            )
        slot = next(iter(found))
        return found | {f"{slot}/adam_m": found[slot], f"{slot}/adam_v": found[slot], "global_step": np.array(7)}

    return arrays


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def _field(number: int, value: int | bytes) -> bytes:
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    return _varint(number << 3 | 2) + _varint(len(value)) + value


def _crc32c(data: bytes) -> int:
    """Computed bit by bit from the polynomial, then masked as in TensorFlow."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 * (crc & 1))
    crc ^= 0xFFFFFFFF
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


_TYPES = {"float32": 1, "float64": 2, "int32": 3, "int64": 9}


def write_bundle(prefix: Path, arrays: Mapping[str, npt.NDArray[Any]], *, snappy: bool, per_block: int = 7) -> Path:
    """Write a tensor bundle in TensorFlow's format, with several blocks and shared prefixes; returns its index file."""
    data, entries = bytearray(), [(b"", _field(1, 1) + _field(3, b"\x08\x01"))]
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        shape = b"".join(_field(2, _field(1, size)) for size in array.shape)
        entry = _field(1, _TYPES[str(array.dtype)]) + (_field(2, shape) if shape else b"")
        entry += (_field(4, len(data)) if data else b"") + _field(5, array.nbytes)
        entries.append((name.encode(), entry + _varint(6 << 3 | 5) + struct.pack("<I", 0)))
        data += array.tobytes()
    prefix.with_name(prefix.name + ".data-00000-of-00001").write_bytes(data)
    table = bytearray()

    def block(rows: list[tuple[bytes, bytes]]) -> bytes:
        """Write a block; returns its handle."""
        content, last = bytearray(), b""
        for key, value in rows:
            shared = next(
                (i for i, (a, b) in enumerate(zip(key, last, strict=False)) if a != b), min(len(key), len(last))
            )
            content += _varint(shared) + _varint(len(key) - shared) + _varint(len(value)) + key[shared:] + value
            last = key
        content += struct.pack("<II", 0, 1)
        packed = pa.Codec("snappy").compress(bytes(content), asbytes=True) if snappy else bytes(content)
        handle = _varint(len(table)) + _varint(len(packed))
        packed += bytes([int(snappy)])
        table.extend(packed + struct.pack("<I", _crc32c(packed)))
        return handle

    handles = [
        (entries[min(i + per_block, len(entries)) - 1][0], block(entries[i : i + per_block]))
        for i in range(0, len(entries), per_block)
    ]
    footer = block([]) + block(handles)
    index = prefix.with_name(prefix.name + ".index")
    index.write_bytes(table + footer.ljust(40, b"\0") + struct.pack("<Q", 0xDB4775248B80FB57))
    return index


@pytest.fixture(scope="session")
def bundle_writer() -> Callable[..., Path]:
    return write_bundle
