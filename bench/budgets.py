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
from itertools import chain
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PORT = int(os.environ.get("PORT", "8471"))
PATH = "/api/v1/proposals"
BASE = f"http://127.0.0.1:{PORT}{PATH}"
FORK = multiprocessing.get_context("fork")
CLIENTS = 16
CROWD, RATE = 4, 200  # clients of the flood, and the requests in a second that they want to make
TURNS = 6  # floods, with ten quiet seconds before and after each
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
    """Another agent's proposals while a flood lasts and between floods; and what they left behind.

    By turns, as what else the machine does drifts by more in minutes than a flood costs. The flood
    asks at a steady rate at most, so that what is measured is the product and not how fast a client
    on the same machine can go round; what it asks while it waits for an answer, it asks when it has
    that.
    """
    with product() as tokens:
        in_product(CAP.format(limit=0, window=3600))
        answers: list[tuple[int, float]] = []
        quiet, during, lasted = [calm(tokens["calm-bot"])], [], 0.0
        for number in range(TURNS):
            flooding = Flooding(tokens["loop-bot"], number, requests // TURNS, crowd)
            during.append(calm(tokens["calm-bot"], flooding))
            answers += flooding.answers()
            lasted += flooding.seconds
            time.sleep(2)  # whoever was shed in one second is still judged differently in the next
            quiet.append(calm(tokens["calm-bot"]))
        entries = in_product(
            "from ledger.models import LedgerEntry; "
            "print(LedgerEntry.objects.filter(kind='budget.refused').count())"
        )
    refused = [took for status, took in answers if status == 429]
    print(
        f"{len(refused)} of {len(answers)} refused over {crowd} connections at "
        f"{len(answers) / lasted:.0f}/s, median {in_ms([refused])}; {entries} ledger entries in "
        f"{TURNS} floods; another agent's proposal {in_ms(quiet)} between them, "
        f"{in_ms(during)} while they lasted ({against(during, quiet):+.1%}); "
        f"between them, odd against even turns: {against(quiet[1::2], quiet[0::2]):+.1%}"
    )
    return 0


def in_ms(turns: list[list[float]]) -> str:
    return f"{1000 * statistics.median(chain(*turns)):.1f} ms"


def against(turns: list[list[float]], others: list[list[float]]) -> float:
    return statistics.median(chain(*turns)) / statistics.median(chain(*others)) - 1


class Flooding:
    """A flood in a process of its own, or the two would wait for each other and not the product."""

    def __init__(self, token: str, turn: int, requests: int, crowd: int) -> None:
        self.told: Any = FORK.Queue()
        given = (token, turn, requests, crowd, self.told)
        self.process = FORK.Process(target=press_hard, args=given)
        self.began, self.seconds = time.monotonic(), 0.0
        self.process.start()

    def is_on(self) -> bool:
        """Whether it still asks: it has told nothing yet."""
        return self.told.empty() and self.process.is_alive()

    def answers(self) -> list[tuple[int, float]]:
        """What it was answered, status and seconds of each; waits for its end."""
        answers, self.seconds = self.told.get()
        self.process.join()
        return answers


def press_hard(token: str, turn: int, requests: int, crowd: int, told: Any) -> None:
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
            line.request("POST", PATH, *write(token, f"f{turn}-{client}-{number}", "flood"))
            answer = line.getresponse()
            answer.read()
            answers.append((answer.status, time.perf_counter() - asked))

    together(press, crowd)
    told.put((answers, time.monotonic() - began))


def calm(token: str, flooding: Flooding | None = None) -> list[float]:
    """The answer times of one agent that asks in peace, for ten seconds or while a flood lasts.

    Three times a second: asking as fast as it is answered, it would fill two cores by itself, web
    server and worker, and measure its own queue.
    """
    took: list[float] = []
    began = time.monotonic()
    while flooding.is_on() if flooding else len(took) < 30:
        took.append(propose(token, f"calm-{time.monotonic_ns()}", "calm")[1])
        time.sleep(max(0.0, began + len(took) / 3 - time.monotonic()))
    return took


if __name__ == "__main__":
    what = sys.argv[1] if len(sys.argv) > 1 else "hammer"
    given = [int(one) for one in sys.argv[2:]] or [{"hammer": 120, "flood": 10_000}[what]]
    sys.exit({"hammer": hammer, "flood": flood}[what](*given))
