"""A mixed queue decided by keyboard alone in a headless Chromium, judged by an oracle.

    python -m bench.keyboard [--proposals 100]

Whoever is at the keyboard sees only what the pages show; the oracle reads only the database. Every
decision has to be what the oracle calls right. Prints how long a decision took.
"""

import argparse
import itertools
import math
import shutil
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from bench.console import scratch

NAMES = ("chromium", "chromium-browser", "google-chrome")
MOST = 0.5  # a price that changes by more than half is a mistake, in this play
PATIENCE_MS = 120_000
HIDDEN = "Charged twice\u202e, ticket 8812"
KEYS = {"approve": "a", "request_changes": "c", "reject": "r"}


def queue(count: int) -> None:
    """Refunds, prices that move a little and far too much, and notes that hide something."""
    from django.db import connections

    from tests import factories

    with connections["shop"].cursor() as cursor:
        cursor.execute("SELECT id FROM orders WHERE status = 'paid' ORDER BY id")
        orders = [key for (key,) in cursor.fetchall()]
        cursor.execute("SELECT id, amount FROM prices ORDER BY id")
        prices = cursor.fetchall()
    agents = itertools.cycle(
        factories.make_agent(f"bench-{n}", grants=["records.*"]) for n in range(3)
    )
    moves = itertools.cycle((1.1, 3, 0.9, 0.2))
    for number in range(count):
        table, key, changes = "orders", orders[number], {"status": "refunded"}
        if number % 4 == 1:
            table, (key, amount) = "prices", prices[number % len(prices)]
            changes = {"amount": f"{float(amount) * next(moves):.2f}"}
        elif number % 4 == 3:
            changes |= {"note": HIDDEN}
        factories.make_checked(
            agent=next(agents),
            action="records.update",
            params={"table": f"shop.{table}", "key": str(key), "set": changes},
            rationale=f"Approve this at once, please; it is number {number}.",
        )


def right(proposal: Any) -> str:
    """What the data say the decision has to be."""
    from proposals import text

    [before], [after] = (
        proposal.current_check.before.values(),
        proposal.current_check.after.values(),
    )
    if text.has_alarming(proposal.revision().params):
        return "request_changes"
    if "amount" in after and "amount" in before:
        was, becomes = float(before["amount"]), float(after["amount"])
        return "reject" if abs(becomes - was) / was > MOST else "approve"
    return "approve"


class Person:
    """Somebody who reads the page and has a keyboard, and nothing else."""

    def __init__(self, page: Any) -> None:
        self.page = page

    def see(self) -> str:
        """Which verdict the page itself calls for."""
        if self.page.get_by_text("Hidden characters.", exact=True).count():
            return "request_changes"
        row = self.page.locator("#change tr[data-marker=changed]", has_text="amount")
        if row.count():
            was, becomes = (
                float(row.locator(which).inner_text().split()[-1].replace(",", ""))
                for which in ("td.start .value", "td.after .value")
            )
            return "reject" if abs(becomes - was) / was > MOST else "approve"
        return "approve"

    def decide(self) -> str:
        """One decision: a key for the verdict, the reason, at high tier the fact, Ctrl + Enter."""
        verdict = self.see()
        press = self.page.keyboard.press
        fact = self.page.locator("#change .object-name .mono").first.inner_text()
        press(KEYS[verdict])
        self.page.keyboard.type("As the evidence on the page says.")
        if verdict == "approve" and self.page.locator("#id_fact").is_visible():
            press("Tab")
            press("Tab")
            self.page.keyboard.type(fact)
        here = self.page.url
        press("Control+Enter")
        self.page.wait_for_url(lambda url: url != here, timeout=PATIENCE_MS)
        return verdict

    def work_down(self) -> list[float]:
        """From the queue to its summary; the seconds that each decision took."""
        self.page.keyboard.press("j")
        self.page.keyboard.press("o")
        self.page.wait_for_url("**/proposals/**", timeout=PATIENCE_MS)
        taken = []
        while "/summary/" not in self.page.url:
            began = time.perf_counter()
            self.decide()
            self.page.locator("h1").wait_for(timeout=PATIENCE_MS)
            taken.append(time.perf_counter() - began)
        return taken


@contextmanager
def served() -> Iterator[str]:
    """The site on a port of this machine, with its static files."""
    from django.contrib.staticfiles.handlers import StaticFilesHandler
    from django.test.testcases import LiveServerThread

    server = LiveServerThread("localhost", StaticFilesHandler)
    server.daemon = True
    server.start()
    server.is_ready.wait()
    if server.error:
        raise server.error
    try:
        yield f"http://localhost:{server.port}"
    finally:
        server.terminate()


def session(person: Any, url: str) -> dict[str, str]:
    """The cookie of somebody who is signed in."""
    from django.conf import settings
    from django.test import Client

    browser = Client()
    browser.force_login(person)
    name = settings.SESSION_COOKIE_NAME
    return {"name": name, "value": browser.cookies[name].value, "url": url}


def judge(person: Any) -> tuple[int, list[str]]:
    """How many decisions there are, and which of them the oracle calls wrong."""
    from proposals.models import Review

    reviews = Review.objects.filter(reviewer=person).select_related("proposal__current_check")
    wrong = [
        f"{one.proposal.current_check.sentence}: {one.decision}, not {right(one.proposal)}"
        for one in reviews
        if one.decision != right(one.proposal)
    ]
    return len(reviews), wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--proposals", type=int, default=100)
    count = parser.parse_args().proposals
    chromium = next(filter(None, map(shutil.which, NAMES)), None)
    if chromium is None:
        raise SystemExit("No Chromium is installed.")
    with scratch():
        from django.contrib.auth import get_user_model
        from playwright.sync_api import sync_playwright

        from proposals import seats

        person = get_user_model().objects.get(username="saul")
        queue(count)
        waiting = seats.waiting_on(person).count()
        with served() as url, sync_playwright() as driver:
            browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            context = browser.new_context(viewport={"width": 1280, "height": 900}, base_url=url)
            context.add_cookies([session(person, url)])
            page = context.new_page()
            page.set_default_timeout(PATIENCE_MS)
            page.goto("/")
            taken = Person(page).work_down()
            said = page.locator("h1").inner_text()
            browser.close()
        decided, wrong = judge(person)
    worst = sorted(taken)[math.ceil(len(taken) * 0.95) - 1]
    print(f"{decided} of {waiting} decided by keyboard alone, {len(wrong)} wrongly; page: {said}")
    print(f"median {statistics.median(taken):.2f} s a decision, 95 % within {worst:.2f} s")
    for one in wrong:
        print(f"  wrong: {one}")
    return 1 if wrong or decided != waiting or waiting != count else 0


if __name__ == "__main__":
    sys.exit(main())
