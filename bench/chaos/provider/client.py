"""Starting the provider, moving its time and mood, and reading its books: the harness's side."""

import json
import subprocess
import sys
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.chaos.provider.book import Reader
from proposals.management.supervisor import die_with_parent

ROOT = Path(__file__).resolve().parents[3]


@dataclass
class Running:
    """A provider's process."""

    folder: Path
    child: subprocess.Popen
    port: int
    mail_port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def book(self) -> Reader:
        return Reader(self.folder)

    def control(self, **said: Any) -> dict[str, Any]:
        request = urllib.request.Request(f"{self.url}/control", data=json.dumps(said).encode())
        with urllib.request.urlopen(request, timeout=30) as response:
            return json.load(response)

    def pass_time(self, seconds: float) -> None:
        self.control(**{"pass": seconds})

    def stop(self) -> None:
        self.child.terminate()
        self.child.wait()


def start(folder: Path, *, seed: int, patience: float, mode: str = "") -> Running:
    """Start one on ports of its own; it ends with this process at the latest."""
    folder.mkdir(parents=True, exist_ok=True)
    options = {"--folder": folder, "--seed": seed, "--patience": patience, "--mode": mode}
    command = [sys.executable, "-m", "bench.chaos.provider"]
    for name, value in options.items():
        command += [name, str(value)]
    child = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, text=True, preexec_fn=die_with_parent
    )
    said = child.stdout.readline() if child.stdout else ""
    if not said:
        raise AssertionError("The provider did not start.")
    port, mail_port = map(int, said.split())
    return Running(folder, child, port, mail_port)
