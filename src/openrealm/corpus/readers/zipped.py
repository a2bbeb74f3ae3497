"""Documents that are ZIP archives, read in memory: nothing is extracted, and what they expand to is bounded."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from openrealm.errors import BadInput
from openrealm.types import Limits


@contextmanager
def opened_archive(path: Path, kind: str, limits: Limits) -> Iterator[zipfile.ZipFile]:
    """The archive, for reading. Raises BadInput when it is none, is damaged or encrypted, or expands too far.

    kind  what the file should be, for messages, such as "an EPUB"
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            num_bytes = sum(member.file_size for member in members)  # zipfile reads no more than a member declares
            most = limits.max_file_mb << 20
            if num_bytes > most:
                raise BadInput(
                    f"{path} unpacks to {num_bytes:,} bytes, more than {most:,}; split it, remove it, or raise "
                    "corpus.max_file_mb."
                )
            if len(members) > limits.max_archive_files:
                raise BadInput(
                    f"{path} holds {len(members):,} files, more than {limits.max_archive_files:,}; split it, remove "
                    "it, or raise corpus.max_archive_files."
                )
            yield archive
    except BadInput:
        raise
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, KeyError, ValueError, NotImplementedError) as error:
        raise BadInput(f"{path} could not be read as {kind} ({error}); repair it or remove it.") from error
    except RuntimeError as error:  # a password is needed, or it is nested too deeply
        raise BadInput(f"{path} could not be read as {kind} ({error}); unlock it or remove it.") from error
