"""Documents that are ZIP archives, read in memory: nothing is extracted, and what they expand to is bounded."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from openrealm.errors import BadInput
from openrealm.types import Limits

_MAX_MEMBERS = 100_000


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
            if num_bytes > most or len(members) > _MAX_MEMBERS:
                raise BadInput(
                    f"{path} holds {len(members):,} files of {num_bytes:,} bytes, more than {_MAX_MEMBERS:,} or "
                    f"{most:,}; split it, remove it, or raise corpus.max_file_mb."
                )
            yield archive
    except BadInput:
        raise
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, KeyError, ValueError, NotImplementedError) as error:
        raise BadInput(f"{path} could not be read as {kind} ({error}); repair it or remove it.") from error
    except RuntimeError as error:  # a password is needed, or it is nested too deeply
        raise BadInput(f"{path} could not be read as {kind} ({error}); unlock it or remove it.") from error
