"""A mirror for the tests: serves a folder over HTTP with ranges, as slowly and unreliably as it is told to.

    python serve_ranges.py FOLDER BYTES_PER_SECOND BYTES_BEFORE_BREAKING_OFF [no-ranges]

Prints its port, then every request it answers: path, range, bytes sent. 0 stands for no limit.
"""

from __future__ import annotations

import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

FOLDER, SPEED, LIMIT = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
HAS_RANGES = "no-ranges" not in sys.argv
PIECE = 16 << 10


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        path = FOLDER / self.path.lstrip("/")
        if not path.is_file():
            self.send_error(404)
            return
        data = path.read_bytes()
        wanted = self.headers.get("Range") if HAS_RANGES else None
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
        if wanted and start >= len(data):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(data)}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(206 if wanted else 200)
        self.send_header("Content-Length", str(len(data) - start))
        if wanted:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        self.end_headers()
        self.close_connection = True
        sent = self.send_body(data[start:])
        print(path.name, start, sent, flush=True)

    def send_body(self, data: bytes) -> int:
        sent = 0
        while sent < len(data) and not (LIMIT and sent >= LIMIT):
            piece = data[sent : sent + PIECE]
            try:
                self.wfile.write(piece)
            except OSError:
                break
            sent += len(piece)
            if SPEED:
                time.sleep(len(piece) / SPEED)
        return sent

    def log_message(self, format: str, *args: object) -> None:
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_address[1], flush=True)
server.serve_forever()
