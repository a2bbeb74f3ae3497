"""A Hugging Face Hub for the tests: the endpoints that huggingface_hub needs to upload and download models.

    python serve_hub.py FOLDER

FOLDER/OWNER/NAME/ holds the files of a model that is there from the start. Prints its port, then every request.
Writing needs the token "hf_test". Private models are visible with the token alone.
"""

from __future__ import annotations

import base64
import hashlib
import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

TOKEN = "hf_test"


class Repo:
    """Branches of a model, each a commit; a commit is the bytes of its files by path."""

    def __init__(self, files: dict[str, bytes], *, private: bool = False) -> None:
        self.private = private
        self.commits: dict[str, dict[str, bytes]] = {}
        self.branches: dict[str, str] = {}
        self.messages: list[str] = []
        self.commit("main", files, "initial")

    def commit(self, branch: str, files: dict[str, bytes], message: str) -> str:
        seed = json.dumps([message, len(self.commits), {name: len(data) for name, data in files.items()}])
        sha = hashlib.sha1(seed.encode()).hexdigest()
        self.commits[sha], self.branches[branch] = files, sha
        self.messages.append(message)
        return sha

    def resolve(self, revision: str) -> str | None:
        return self.branches.get(revision) or (revision if revision in self.commits else None)


REPOS: dict[str, Repo] = {}
STORED: dict[str, bytes] = {}  # large files by SHA-256


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.route()

    def do_HEAD(self) -> None:
        self.route()

    def do_POST(self) -> None:
        self.route()

    def do_PUT(self) -> None:
        self.route()

    def route(self) -> None:
        url = urlsplit(self.path)
        parts = [unquote(part) for part in url.path.strip("/").split("/")]
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        print(self.command, url.path, flush=True)
        signed_in = self.headers.get("Authorization") == f"Bearer {TOKEN}"
        writes = self.command in ("POST", "PUT") and parts[0] != "lfs" and parts[-1] != "paths-info"
        if writes and not signed_in:
            self.answer({"error": "Invalid credentials"}, 401, {"X-Error-Message": "Invalid credentials"})
        elif parts[:2] == ["api", "models"] and len(parts) >= 4:
            self.of_model("/".join(parts[2:4]), parts[4:], parse_qs(url.query), signed_in)
        elif parts == ["api", "repos", "create"]:
            self.create(json.loads(self.body))
        elif parts == ["api", "validate-yaml"]:
            self.answer({"warnings": [], "errors": []})
        elif parts[0] == "lfs":
            STORED[parts[1]] = self.body
            self.answer({})
        elif parts[2:] == ["info", "lfs", "objects", "batch"]:
            self.store_large(json.loads(self.body))
        elif parts[2:3] == ["resolve"]:
            self.file("/".join(parts[:2]), parts[3], "/".join(parts[4:]), signed_in)
        else:
            self.answer({"error": f"no such endpoint: {self.command} {self.path}"}, 404)

    def create(self, wanted: dict[str, Any]) -> None:
        name = f"{wanted['organization']}/{wanted['name']}"
        url = f"http://{self.headers['Host']}/{name}"
        if name in REPOS:
            self.answer({"error": "exists", "url": url}, 409)
        else:
            REPOS[name] = Repo({}, private=wanted.get("private") or wanted.get("visibility") == "private")
            self.answer({"url": url})

    def of_model(self, name: str, rest: list[str], query: dict[str, list[str]], signed_in: bool) -> None:
        repo = self.repo(name, signed_in)
        if repo is None:
            return
        what, revision = (rest[0], "/".join(rest[1:]) or "main") if rest else ("revision", "main")
        if what == "branch":
            repo.branches.setdefault(revision, repo.branches["main"])
            self.answer({})
            return
        if (sha := repo.resolve(revision)) is None:
            self.answer({"error": "Invalid rev id"}, 404, {"X-Error-Code": "RevisionNotFound"})
        elif what == "revision":
            siblings = [{"rfilename": path} for path in repo.commits[sha]]
            self.answer({"_id": name, "id": name, "sha": sha, "private": repo.private, "siblings": siblings})
        elif what == "tree":
            self.answer([self.entry(path, data) for path, data in repo.commits[sha].items()])
        elif what == "preupload":
            wanted = json.loads(self.body)["files"]
            modes = {f["path"]: "lfs" if f["path"].endswith(".safetensors") else "regular" for f in wanted}
            self.answer(
                {"files": [{"path": p, "uploadMode": mode, "shouldIgnore": False} for p, mode in modes.items()]}
            )
        elif what == "commit":
            self.commit(name, repo, revision, sha)
        else:
            self.answer({"error": f"no such endpoint: {self.path}"}, 404)

    def commit(self, name: str, repo: Repo, branch: str, parent: str) -> None:
        files, message = dict(repo.commits[parent]), ""
        for line in self.body.splitlines():
            operation = json.loads(line)
            key, value = operation["key"], operation["value"]
            if key == "header":
                message = value["summary"]
            elif key == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif key == "lfsFile":
                files[value["path"]] = STORED[value["oid"]]
        sha = repo.commit(branch, files, message)
        url = f"http://{self.headers['Host']}/{name}/commit/{sha}"
        self.answer({"success": True, "commitOid": sha, "commitUrl": url, "hookOutput": ""})

    def store_large(self, wanted: dict[str, Any]) -> None:
        host = f"http://{self.headers['Host']}"
        objects = [
            {**one, "actions": {"upload": {"href": f"{host}/lfs/{one['oid']}", "header": {}}}}
            for one in wanted["objects"]
        ]
        self.answer({"transfer": "basic", "objects": objects})

    def file(self, name: str, revision: str, path: str, signed_in: bool) -> None:
        repo = self.repo(name, signed_in)
        if repo is None:
            return
        sha = repo.resolve(revision)
        if sha is None or path not in repo.commits[sha]:
            self.answer({"error": "Entry not found"}, 404, {"X-Error-Code": "EntryNotFound"})
            return
        data = repo.commits[sha][path]
        self.send(data, 200, {"X-Repo-Commit": sha, "ETag": f'"{self.entry(path, data)["oid"]}"'})

    def repo(self, name: str, signed_in: bool) -> Repo | None:
        repo = REPOS.get(name)
        if repo is None or (repo.private and not signed_in):
            self.answer({"error": "Repository not found"}, 404, {"X-Error-Code": "RepoNotFound"})
            return None
        return repo

    @staticmethod
    def entry(path: str, data: bytes) -> dict[str, Any]:
        oid = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
        entry = {"type": "file", "path": path, "size": len(data), "oid": oid}
        if path.endswith(".safetensors"):
            sha256 = hashlib.sha256(data).hexdigest()
            entry["lfs"] = {"oid": sha256, "size": len(data), "pointerSize": 130}
        return entry

    def answer(self, value: Any, status: int = 200, headers: dict[str, str] | None = None) -> None:
        self.send(json.dumps(value).encode(), status, {"Content-Type": "application/json", **(headers or {})})

    def send(self, data: bytes, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(data))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        """Requests are printed above."""


if __name__ == "__main__":
    root = Path(sys.argv[1])
    for folder in root.glob("*/*"):
        REPOS[f"{folder.parent.name}/{folder.name}"] = Repo({p.name: p.read_bytes() for p in folder.iterdir()})
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print(server.server_port, flush=True)
    server.serve_forever()
