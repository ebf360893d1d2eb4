"""Runs a part of the chaos harness on the databases of the running test."""

import json
import subprocess
import sys
from typing import Any

from tests.processes import ROOT, environment


def play(part: str, shop_url: str, *options: str) -> dict[str, Any]:
    """What the part found; its words are shown where the test fails, with the way to replay it."""
    done = subprocess.run(
        [sys.executable, "-m", "bench.chaos", part, "--database", "here", *options],
        cwd=ROOT,
        env=environment(shop_url),
        capture_output=True,
        text=True,
        check=False,
    )
    print(done.stdout[-8000:], done.stderr[-4000:])
    _, brace, rest = done.stdout.partition("\n{")
    found, _ = json.JSONDecoder().raw_decode(brace.strip() + rest)
    assert done.returncode == bool(found["faults"])
    return found
