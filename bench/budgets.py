"""Hammers a budget over HTTP and judges it by the ledger alone.

    python -m bench.budgets hammer [SECONDS]   16 clients against 240 proposals in any 30 seconds
    python -m bench.budgets flood [REQUESTS [CLIENTS]]   over-budget requests of one agent over so
                                               many connections, and another agent

Starts its own web server, worker and clock on a data folder of its own; DATABASE_URL and REDIS_URL
choose other databases than SQLite.
"""

import http.client
import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PORT = int(os.environ.get("PORT", "8471"))
PATH = "/api/v1/proposals"
BASE = f"http://127.0.0.1:{PORT}{PATH}"
FORK = multiprocessing.get_context("fork")
CLIENTS = 16
CROWD, RATE = 4, 200  # clients of the flood, and the requests in a second that they want to make
LIMIT, WINDOW = 240, timedelta(seconds=30)


@contextmanager
def product() -> Iterator[dict[str, str]]:
    """The whole product, started as an operator starts it, with two agents' tokens."""
    with tempfile.TemporaryDirectory(prefix="countersign-bench-") as folder:
        os.environ |= {"COUNTERSIGN_DATA": folder, "PORT": str(PORT), "DEMO": "1", "EMAIL_URL": ""}
        manage = [sys.executable, "manage.py"]
        log = (Path(folder) / "start.log").open("wb")
        started = subprocess.Popen([*manage, "start"], cwd=ROOT, stdout=log, stderr=log)
        try:
            wait_for(lambda: "Ctrl-C" in (Path(folder) / "start.log").read_text(), 300)
            tokens = {}
            for name in ("loop-bot", "calm-bot"):
                line = ["issue_agent_token", name, "--create", "--owner", "olga", "--grant", "*"]
                done = subprocess.run(
                    [*manage, *line], cwd=ROOT, capture_output=True, text=True, check=True
                )
                tokens[name] = done.stdout.strip().splitlines()[-1]
            yield tokens
        finally:
            started.terminate()
            started.wait(timeout=40)


def wait_for(question: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not question():
        if time.monotonic() > deadline:
            raise SystemExit("The product did not start.")
        time.sleep(0.1)


def write(token: str, key: str, run: str) -> tuple[bytes, dict[str, str]]:
    """The body and headers that ask for one low-tier write."""
    body = {
        "action": "records.create",
        "params": {
            "table": "shop.drafts",
            "values": {"order_id": 1, "subject": key, "body": "bench", "state": "open"},
        },
        "run": run,
        "rationale": "Bench.",
    }
    headers = {
        "Authorization": f"Bearer {token}",
        "Idempotency-Key": key,
        "Content-Type": "application/json",
    }
    return json.dumps(body).encode(), headers


def propose(token: str, key: str, run: str) -> tuple[int, float]:
    """Post one low-tier write; the status, and how long the answer took."""
    body, headers = write(token, key, run)
    request = urllib.request.Request(BASE, data=body, headers=headers)
    began = time.perf_counter()
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            response.read()
            return response.status, time.perf_counter() - began
    except urllib.error.HTTPError as refusal:
        refusal.read()
        return refusal.code, time.perf_counter() - began


def in_product(code: str) -> str:
    """Run a few lines in the product's own shell, and return what they print."""
    done = subprocess.run(
        [sys.executable, "manage.py", "shell", "-v", "0", "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


CAP = """
from budgets.models import Budget
from proposals import services
Budget.objects.filter(is_active=True).update(is_active=False)
services.save_budget(budget=Budget(name="Bench", unit="proposals", agent_pattern="loop-bot",
    limit={limit}, window_seconds={window}), person=None, is_new=True)
"""
TIMES = """
from ledger.models import LedgerEntry
from proposals.models import Agent
agent = str(Agent.objects.get(name="loop-bot").pk)
for at in LedgerEntry.objects.filter(kind="proposal.submitted", agent=agent).order_by("at", "id") \
        .values_list("at", flat=True): print(at.isoformat())
"""


def hammer(seconds: float) -> int:
    with product() as tokens:
        in_product(CAP.format(limit=LIMIT, window=int(WINDOW.total_seconds())))
        os.nice(19)  # elsewhere, those who press do not share the product's cores
        stop = time.monotonic() + seconds
        answers: list[int] = []

        def press(client: int) -> None:
            number = 0
            while time.monotonic() < stop:
                number += 1
                status, _ = propose(tokens["loop-bot"], f"{client}-{number}", "hammer")
                answers.append(status)

        together(press, CLIENTS)
        times = [datetime.fromisoformat(line) for line in in_product(TIMES).splitlines()]
    over, fullest = sweep(times)
    print(
        f"{len(answers)} requests of {CLIENTS} clients in {seconds:.0f} s, {len(times)} admitted; "
        f"{over} instants over the cap of {LIMIT} in {WINDOW.total_seconds():.0f} s "
        f"(fullest window {fullest}); {used(times):.2%} of the cap used"
    )
    return 1 if over else 0


def sweep(times: list[datetime]) -> tuple[int, int]:
    """Over how many admissions the window that ends there holds more than the cap; the fullest."""
    over = fullest = start = 0
    for end, at in enumerate(times):
        while times[start] <= at - WINDOW:
            start += 1
        held = end - start + 1
        fullest = max(fullest, held)
        over += held > LIMIT
    return over, fullest


def used(times: list[datetime]) -> float:
    """The mean share of the cap in use, from the first admission that filled it to the last one."""
    if len(times) < LIMIT:
        return 0.0
    begin, end = times[LIMIT - 1], times[-1]
    in_use = sum(
        (min(at + WINDOW, end) - max(at, begin)).total_seconds()
        for at in times
        if at + WINDOW > begin
    )
    return in_use / (LIMIT * (end - begin).total_seconds())


def together(work: Callable[[int], None], count: int) -> None:
    threads = [threading.Thread(target=work, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def flood(requests: int, crowd: int = CROWD) -> int:
    """Another agent's proposals before, during and after a flood; and what the flood left behind.

    The flood asks at a steady rate at most, so that what is measured is the product and not how
    fast a client on the same machine can go round; what it asks while it waits for an answer, it
    asks when it has that.
    """
    with product() as tokens:
        in_product(CAP.format(limit=0, window=3600))
        before = calm(tokens["calm-bot"], "before")
        # In a process of its own, or the two would wait for each other and not for the product.
        told: Any = FORK.Queue()
        pressing = FORK.Process(target=press_hard, args=(tokens["loop-bot"], requests, crowd, told))
        began = time.monotonic()
        pressing.start()
        during = calm(tokens["calm-bot"], "during")
        answers: list[tuple[int, float]] = told.get()
        pressing.join()
        rate = len(answers) / (time.monotonic() - began)
        after = calm(tokens["calm-bot"], "after")
        entries = in_product(
            "from ledger.models import LedgerEntry; "
            "print(LedgerEntry.objects.filter(kind='budget.refused').count())"
        )
    refused = [took for status, took in answers if status == 429]
    print(
        f"{len(refused)} of {requests} refused over {crowd} connections at {rate:.0f}/s, "
        f"median {1000 * statistics.median(refused):.1f} ms; {entries} ledger entries; "
        f"another agent's proposal {1000 * before:.1f} ms before, "
        f"{1000 * during:.1f} ms during ({during / before - 1:+.1%}), "
        f"{1000 * after:.1f} ms after ({after / before - 1:+.1%})"
    )
    return 0


def press_hard(token: str, requests: int, crowd: int, told: Any) -> None:
    """Ask at a steady rate, from several clients; tell what was answered, and how fast.

    Last in line for the cores: elsewhere, a flood does not run on the machine that it floods.
    """
    os.nice(19)
    answers: list[tuple[int, float]] = []
    began = time.monotonic()

    def press(client: int) -> None:
        line = http.client.HTTPConnection("127.0.0.1", PORT, timeout=60)
        for number in range(requests // crowd):
            due = began + (number * crowd + client) / RATE
            time.sleep(max(0.0, due - time.monotonic()))
            asked = time.perf_counter()
            line.request("POST", PATH, *write(token, f"f{client}-{number}", "flood"))
            answer = line.getresponse()
            answer.read()
            answers.append((answer.status, time.perf_counter() - asked))

    together(press, crowd)
    told.put(answers)


def calm(token: str, name: str) -> float:
    """The median answer time of one agent that asks in peace.

    Three times a second: asking as fast as it is answered, it would fill two cores by itself, web
    server and worker, and measure its own queue.
    """
    took, began = [], time.monotonic()
    for number in range(150):
        time.sleep(max(0.0, began + number / 3 - time.monotonic()))
        took.append(propose(token, f"{name}-{number}", "calm")[1])
    return statistics.median(took)


if __name__ == "__main__":
    what = sys.argv[1] if len(sys.argv) > 1 else "hammer"
    given = [int(one) for one in sys.argv[2:]] or [{"hammer": 120, "flood": 10_000}[what]]
    sys.exit({"hammer": hammer, "flood": flood}[what](*given))
