"""The server fuzzed from its own OpenAPI description by schemathesis: no 5xx, and it goes on answering."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("schemathesis", reason="needs the extra `fuzz` (make test-scale)")

from openrealm.serve.limits import Limits
from openrealm.serve.versions import RunOrigin, Versions

_RUN = "import sys; from schemathesis.cli import schemathesis; sys.exit(schemathesis())"
_CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"


@pytest.mark.scale
@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("max_body", [1 << 20, 200])
def test_no_request_makes_the_server_fail(answering_run: Path, serve: Any, tmp_path: Path, max_body: int) -> None:
    limits = Limits(max_body_bytes=max_body, max_waiting=64)
    with serve(Versions(RunOrigin(answering_run), poll_seconds=0), limits) as client:
        address = f"http://127.0.0.1:{client.port}/openapi.json"
        options = ["--checks", _CHECKS, "--max-examples", "60", "--seed", "0", "--suppress-health-check", "all"]
        command = [sys.executable, "-c", _RUN, "run", address, "--workers", "2", *options]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        print(done.stdout)
        assert done.returncode == 0, done.stdout + done.stderr
        counters = client.get("/metrics").body
        answered = re.findall(r'requests_total{route="[^"]*",status="(\d+)"} ([\d.]+)', counters)
        assert sum(float(number) for _, number in answered) > 500
        assert {status for status, _ in answered} <= {
            "0",
            "200",
            "400",
            "404",
            "405",
            "408",
            "413",
            "415",
            "422",
            "429",
        }
        assert client.post("/v1/ask", {"question": "What is the capital?"}).status in (200, 413)
