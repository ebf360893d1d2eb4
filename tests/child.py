"""A child process that writes to the shop and is killed before its transaction commits."""

import json
import os
import subprocess
import sys
from pathlib import Path

SCRIPT = """
import json, sys, time
import django
django.setup()
from proposals.actions import receipts
from proposals.registry import registry

def hang(*args):
    print("written, not committed", flush=True)
    time.sleep(600)

receipts.keep = hang
registry.get("records.create").apply(json.loads(sys.argv[1]), key="k1", expected={"new": None})
"""


def killed_in_the_middle(shop_url: str, params: dict) -> None:
    """Let a child insert the row, and kill it when only the COMMIT is missing."""
    child = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, json.dumps(params)],
        cwd=Path(__file__).resolve().parent.parent,
        env=os.environ
        | {"SHOP_DATABASE_URL": shop_url, "DJANGO_SETTINGS_MODULE": "approvals_site.settings"},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert child.stdout is not None
        assert child.stdout.readline().strip() == "written, not committed"
    finally:
        child.kill()
        child.wait()
        child.stdout.close()
