"""Dumps of Wikimedia's wikis: downloaded once, resumed after an interruption, checked against the mirror's SHA-1."""

from __future__ import annotations

import hashlib
import http.client
import os
import re
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from openrealm.corpus.sources import Source, mediawiki
from openrealm.errors import BadInput
from openrealm.files import append_bytes, publish, sole_writer
from openrealm.progress import track, warn
from openrealm.types import DEFAULT_LIMITS, Article, Limits

MIRROR = "https://dumps.wikimedia.org"
_NAME = re.compile(r"wikipedia:([a-z][a-z0-9_]{1,40}):(\d{8})")
_READ_BYTES = 1 << 20
_TIMEOUT_SECONDS = 60
_MAX_FAILURES = 4


class _ConnectionLost(Exception):
    """The connection failed; what has arrived is kept, and the next attempt continues from there."""


class Wikipedia(Source):
    """A wiki's dump by name and date, downloaded when it is first read."""

    argument = "WIKI:DATE"

    def __init__(
        self, name: str, *, salvage: bool = False, num_workers: int | None = None, limits: Limits = DEFAULT_LIMITS
    ) -> None:
        """`name` is "WIKI:DATE"; the options are those of `mediawiki.read`."""
        self._dump = Dump.named(f"wikipedia:{name}")
        self._options: dict[str, Any] = {"salvage": salvage, "num_workers": num_workers, "limits": limits}
        self.description = {"kind": "wikipedia", "wiki": self._dump.wiki, "date": self._dump.date}

    def articles(self) -> Iterator[Article]:
        """Articles of the dump, see `mediawiki.read`; raises what `Dump.fetch` does."""
        return mediawiki.read(self._dump.fetch(), **self._options, description=self.description)

    def identity(self) -> Any:
        """Wiki and date: a dump does not change."""
        return [self._dump.wiki, self._dump.date]


@dataclass(frozen=True, slots=True)
class Dump:
    """The dump of one wiki ("simplewiki") on one day ("20260101")."""

    wiki: str
    date: str

    @staticmethod
    def named(source: str) -> Dump:
        """Parse "wikipedia:WIKI:DATE". Raises BadInput if it does not have that form."""
        match = _NAME.fullmatch(source)
        if not match:
            raise BadInput(
                f"{source} does not have the form wikipedia:WIKI:DATE, such as wikipedia:simplewiki:20260101; the "
                f"available dates are listed at {MIRROR}/simplewiki/."
            )
        return Dump(match[1], match[2])

    @property
    def file_name(self) -> str:
        """The dump's file name on every mirror."""
        return f"{self.wiki}-{self.date}-pages-articles.xml.bz2"

    def fetch(self, folder: Path | None = None, *, pause_seconds: float = 2.0) -> Path:
        """The dump's file in `folder` (default: `cache_folder`), downloaded unless it is there.

        An interrupted download continues where it stopped. The mirror is MIRROR unless OPENREALM_MIRROR names another.
        Raises BadInput if the mirror cannot be reached, has no such dump, or the checksum differs; Busy while another
        process downloads the same dump.
        """
        folder = (folder or cache_folder()) / f"{self.wiki}-{self.date}"
        final = folder / self.file_name
        if final.exists():
            return final
        address = f"{os.environ.get('OPENREALM_MIRROR', MIRROR).rstrip('/')}/{self.wiki}/{self.date}"
        with sole_writer(folder):
            expected = self._published_sum(address)
            part = final.with_name(final.name + ".part")
            _download(f"{address}/{self.file_name}", part, pause_seconds)
            _check(part, expected)
            publish(part, final)
        return final

    def _published_sum(self, address: str) -> str | None:
        """The dump's SHA-1 as published by the mirror; if there is none, tells the user and returns None."""
        url = f"{address}/{self.wiki}-{self.date}-sha1sums.txt"
        try:
            with _requested(url, 0) as response:
                lines = response.read(_READ_BYTES).decode("utf-8", "replace").splitlines()
        except _ConnectionLost as error:
            raise _unreachable(url, error, self.file_name) from error
        except urllib.error.HTTPError as error:
            lines = []
            if error.code != http.client.NOT_FOUND:
                raise _unreachable(url, error, self.file_name) from error
        found = [line.split()[0].lower() for line in lines if line.split()[1:] == [self.file_name]]
        if not found:
            warn(f"{url} lists no checksum for {self.file_name}, so the download will not be verified.")
        return found[0] if found else None


def cache_folder() -> Path:
    """Where dumps are kept: "dumps" in $OPENREALM_CACHE, or in "openrealm" in the user's cache folder."""
    users = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(os.environ.get("OPENREALM_CACHE") or users / "openrealm") / "dumps"


def _download(url: str, part: Path, pause_seconds: float) -> None:
    """Download `url` into `part`, reconnecting as long as new data arrives."""
    num_failures = 0
    while True:
        before = _size(part)
        try:
            return _continue(url, part)
        except urllib.error.HTTPError as error:
            if error.code == http.client.NOT_FOUND:
                listed = url.rsplit("/", 2)[0]
                raise BadInput(f"{url} does not exist; choose one of the dates listed at {listed}/.") from error
            failure: Exception = error
        except _ConnectionLost as error:
            failure = error
        num_failures = 1 if _size(part) > before else num_failures + 1
        if num_failures >= _MAX_FAILURES:
            raise _unreachable(url, failure, part.name.removesuffix(".part")) from failure
        time.sleep(pause_seconds * 2**num_failures)


def _continue(url: str, part: Path) -> None:
    start = _size(part)
    try:
        with _requested(url, start) as response:
            if response.status != http.client.PARTIAL_CONTENT:  # the server sends the whole file
                part.unlink(missing_ok=True)
                start = 0
            num_bytes = start + int(response.headers.get("Content-Length") or 0)
            with track(f"downloading {part.name.removesuffix('.part')} (bytes)", num_bytes) as advance:
                advance(start)
                for data in _received(response):
                    append_bytes(part, data)
                    advance(len(data))
    except urllib.error.HTTPError as error:
        if error.code != http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise
        if error.headers.get("Content-Range", "").rpartition("/")[2] != str(start):  # longer than the file
            part.unlink(missing_ok=True)
            raise _ConnectionLost("the partial file belongs to another dump") from error
        return
    if _size(part) < num_bytes:
        raise _ConnectionLost(f"{_size(part):,} of {num_bytes:,} bytes arrived")


def _requested(url: str, start: int) -> http.client.HTTPResponse:
    headers = {"User-Agent": "openrealm", "Accept-Encoding": "identity"}
    headers |= {"Range": f"bytes={start}-"} if start else {}
    try:
        response: http.client.HTTPResponse = urllib.request.urlopen(
            urllib.request.Request(url, headers=headers), timeout=_TIMEOUT_SECONDS
        )
    except urllib.error.HTTPError:
        raise
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise _ConnectionLost(str(getattr(error, "reason", error) or type(error).__name__)) from error
    return response


def _received(response: http.client.HTTPResponse) -> Iterator[bytes]:
    while True:
        try:
            data = response.read1(_READ_BYTES)
        except (OSError, http.client.HTTPException) as error:
            raise _ConnectionLost(str(error) or type(error).__name__) from error
        if not data:
            return
        yield data


def _check(part: Path, expected: str | None) -> None:
    if expected is None:
        return
    with part.open("rb") as handle:
        found = hashlib.file_digest(handle, lambda: hashlib.sha1(usedforsecurity=False)).hexdigest()
    if found != expected:
        part.unlink()
        name = part.name.removesuffix(".part")
        raise BadInput(
            f"{name} has the SHA-1 {found}, but the mirror publishes {expected}; the file was removed, so run the same "
            "command again."
        )


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _unreachable(url: str, error: Exception, file_name: str) -> BadInput:
    return BadInput(
        f"{url} could not be downloaded ({error}); run the same command again to continue, or download {file_name} by "
        "other means and give its path instead of the name."
    )
