"""How fast the console answers over a full database, and how many statements each page takes.

    python -m bench.console [--open 10000] [--closed 100000] [--times 30]

Works on a scratch database beside the configured one (DATABASE_URL, or SQLite) and drops it. Times
are those of the server alone: the whole of Django from request to bytes, without a network. CPU is
what the process itself computed, which other work on the machine does not change.
"""

import argparse
import itertools
import math
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

BATCH = 2000
COPIES = 50
AGENTS, RUNS = 20, 400
TARGETS = {"queue": 200, "review": 400, "pulse": 20, "decide": 300}  # ms, console.md


@contextmanager
def scratch() -> Iterator[None]:
    """Django on a database of its own, with the demonstration's shop as the target."""
    with tempfile.TemporaryDirectory(prefix="countersign-bench-") as folder:
        shop = f"sqlite:///{Path(folder) / 'shop.sqlite3'}"
        os.environ |= {"COUNTERSIGN_DATA": folder, "LOG_LEVEL": "CRITICAL", "DEMO": "1"}
        os.environ |= {"SHOP_DATABASE_URL": shop, "DJANGO_ALLOW_ASYNC_UNSAFE": "true"}
        os.environ["EMAIL_URL"] = ""
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "approvals_site.settings")
        import django

        django.setup()
        from django.conf import settings
        from django.db import connection

        settings.ALLOWED_HOSTS = ["testserver", "localhost", "127.0.0.1"]
        name = connection.settings_dict["NAME"]
        connection.creation.create_test_db(verbosity=0, autoclobber=True)
        try:
            from proposals import defaults
            from proposals.demonstration import people
            from proposals.demonstration import shop as target

            target.ensure()
            defaults.ensure()
            people.ensure()
            yield
        finally:
            connection.creation.destroy_test_db(name, verbosity=0)


def templates() -> dict[str, list[Any]]:
    """A few proposals of each kind, made by the product's own verbs; the rest are their copies."""
    from django.contrib.auth import get_user_model
    from django.db import connections

    from tests import factories

    senior = get_user_model().objects.get(username="sofia")
    with connections["shop"].cursor() as cursor:
        cursor.execute("SELECT id FROM orders WHERE status = 'paid' ORDER BY id LIMIT 30")
        orders = [row[0] for row in cursor.fetchall()]
        cursor.execute("SELECT id, amount FROM prices ORDER BY id LIMIT 10")
        prices = cursor.fetchall()
    agent = factories.make_agent("bench-0", grants=["records.*"])
    made = [update(agent, "orders", key, {"status": "refunded"}) for key in orders]
    made += [
        update(agent, "prices", key, {"amount": f"{float(amount) * by:.2f}"})
        for (key, amount), by in zip(prices, itertools.cycle((1.1, 3)), strict=False)
    ]
    pending = [one for one in made if one.status == "pending"]
    closed = []
    for one in pending[:6]:
        factories.review(one, "reject", reviewer=senior)
        closed.append(factories.fresh(one))
    for one in [one for one in pending[6:] if one.tier != "high"][:8]:
        factories.approve(one, reviewer=senior)
        factories.work()
        closed.append(factories.fresh(one))
    left = [factories.fresh(one) for one in pending]
    return {"open": [one for one in left if one.status == "pending"], "closed": closed}


def update(agent: Any, table: str, key: int, changes: dict[str, str]) -> Any:
    from tests import factories

    return factories.make_checked(
        agent=agent,
        action="records.update",
        params={"table": f"shop.{table}", "key": str(key), "set": changes},
        rationale="The customer was charged twice; the bank's statement is in the ticket.",
        evidence=[{"kind": "record", "title": "Statement", "content": {"charges": 2}}],
    )


def copy_of(row: Any, **changes: Any) -> Any:
    """The same row once more, under another key."""
    values = {field.attname: getattr(row, field.attname) for field in row._meta.concrete_fields}
    if row._meta.pk.get_internal_type() != "UUIDField":
        values.pop(row._meta.pk.attname)
    return type(row)(**values | changes)


class Filling:
    """Copies of template proposals with all that their pages read, spread over agents and time."""

    def __init__(self, reviewers: list[Any]) -> None:
        from ledger import clock
        from tests import factories

        self.dice, self.now = random.Random(7), clock.now()
        self.reviewers = reviewers
        agents = [factories.make_agent(f"bench-{n}", grants=["records.*"]) for n in range(AGENTS)]
        self.runs = [self.run(agents[number % AGENTS], number) for number in range(RUNS)]

    def run(self, agent: Any, number: int) -> Any:
        from proposals.models import Run

        return Run.objects.create(agent=agent, name=f"bench-run-{number}")

    def fill(self, kinds: list[Any], count: int, oldest: timedelta) -> None:
        turns = itertools.cycle(kinds)
        for start in range(0, count, BATCH):
            self.batch([next(turns) for _ in range(min(BATCH, count - start))], oldest)

    def batch(self, wanted: list[Any], oldest: timedelta) -> None:
        """Store copies of these, in as many statements as there are tables."""
        from django.db import connection, transaction

        from ledger.identifiers import uuid7
        from ledger.models import LedgerEntry
        from proposals.models import Check, IdempotencyKey, Proposal, Review, Revision

        rows: dict[type, list[Any]] = {
            model: [] for model in (Proposal, Revision, Check, Review, IdempotencyKey, LedgerEntry)
        }
        pairs = []
        for one in wanted:
            run, back = self.dice.choice(self.runs), oldest * self.dice.random()
            moved = {"created_at": self.now - back, "updated_at": self.now - back}
            if one.committed_at:
                moved["committed_at"] = self.now - back
            else:
                moved["expires_at"] = self.now + timedelta(hours=self.dice.uniform(1, 160))
            new = copy_of(
                one,
                id=uuid7(),
                agent_id=run.agent_id,
                run_id=run.pk,
                current_check_id=None,
                **moved,
            )
            rows[Proposal].append(new)
            revision = copy_of(self.revision(one), proposal_id=new.pk)
            rows[Revision].append(revision)
            pairs.append((one, new, revision))
            key = IdempotencyKey(agent_id=run.agent_id, key=f"k-{new.pk}", proposal_id=new.pk)
            rows[IdempotencyKey].append(key)
            rows[LedgerEntry] += self.entries(one, new)
        with transaction.atomic():
            Proposal.objects.bulk_create(rows[Proposal])
            Revision.objects.bulk_create(rows[Revision])
            rows[Check] = [
                copy_of(one.current_check, proposal_id=new.pk, revision_id=revision.pk)
                for one, new, revision in pairs
            ]
            Check.objects.bulk_create(rows[Check])
            rows[Review] = [
                copy_of(
                    review,
                    proposal_id=new.pk,
                    on_check_id=check.pk,
                    reviewer_id=self.dice.choice(self.reviewers).pk,
                )
                for (one, new, _), check in zip(pairs, rows[Check], strict=True)
                for review in self.reviews(one)
            ]
            for model in (Review, IdempotencyKey, LedgerEntry):
                model.objects.bulk_create(rows[model])
            with connection.cursor() as cursor:
                cursor.execute(CURRENT_CHECK)

    def revision(self, one: Any) -> Any:
        if not hasattr(one, "_revision"):
            one._revision = one.revision()
        return one._revision

    def reviews(self, one: Any) -> list[Any]:
        if not hasattr(one, "_reviews"):
            one._reviews = list(one.reviews.all())
        return one._reviews

    def entries(self, one: Any, new: Any) -> Iterable[Any]:
        """Its timeline. The hashes are made up: these pages show entries, and prove none."""
        from ledger.models import LedgerEntry

        if not hasattr(one, "_entries"):
            one._entries = list(LedgerEntry.objects.filter(stream=one.stream))
        for entry in one._entries:
            yield copy_of(
                entry, stream=new.stream, proposal=str(new.pk), hash=self.dice.randbytes(32)
            )


class Multiplying:
    """Further copies of what was filled in, made by the database itself, which is far quicker."""

    SERIES = (
        "WITH RECURSIVE series(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM series WHERE n < {})"
    )
    WORDS = {
        "sqlite": {
            "id": "substr({0}, 1, 24) || printf('%08x', n)",
            "text": "substr({0}, 1, 8) || '-' || substr({0}, 9, 4) || '-' || substr({0}, 13, 4) "
            "|| '-' || substr({0}, 17, 4) || '-' || substr({0}, 21)",
            "hash": "randomblob(32)",
        },
        "postgresql": {
            "id": "(substr(replace({0}::text, '-', ''), 1, 24) || lpad(to_hex(n), 8, '0'))::uuid",
            "text": "({0})::text",
            "hash": "sha256(convert_to(t.stream || t.number || ' ' || n, 'UTF8'))",
        },
    }

    def __init__(self, statuses: Iterable[str], times: int) -> None:
        from django.db import connection

        self.words, self.times = self.WORDS[connection.vendor], times
        self.among = ", ".join(f"'{one}'" for one in sorted(statuses))

    def run(self) -> None:
        """Copy every proposal of these statuses so many times, with all that hangs on it."""
        from django.db import connection, transaction

        from ledger.models import LedgerEntry
        from proposals.models import Check, IdempotencyKey, Proposal, Review, Revision

        new = self.words["id"].format("t.proposal_id")
        text = self.words["text"].format(self.words["id"].format("p.id"))
        stream = f"'proposal:' || {text}"
        join = "JOIN proposals_proposal p ON p.id = t.proposal_id"
        revision = f"(SELECT r.id FROM proposals_revision r WHERE r.proposal_id = {new})"
        check = f"(SELECT c.id FROM proposals_check c WHERE c.proposal_id = {new})"
        entry = "JOIN proposals_proposal p ON t.stream = 'proposal:' || "
        entry += f"{self.words['text'].format('p.id')} AND t.number = 1"
        own = self.words["id"].format("t.id")
        with transaction.atomic(), connection.cursor() as cursor:
            self.cursor = cursor
            self.copy(
                Proposal,
                "JOIN proposals_proposal p ON p.id = t.id",
                id=own,
                current_check_id="NULL",
            )
            self.copy(Revision, join, proposal_id=new)
            self.copy(Check, join, proposal_id=new, revision_id=revision)
            self.copy(Review, join, proposal_id=new, on_check_id=check)
            self.copy(IdempotencyKey, join, proposal_id=new, key="t.key || '-' || n")
            hashed = self.words["hash"]
            self.copy(LedgerEntry, entry, stream=stream, proposal=text, hash=hashed)
            cursor.execute(CURRENT_CHECK)

    def copy(self, model: Any, join: str, **changes: str) -> None:
        columns = [field.column for field in model._meta.concrete_fields]
        kept = [one for one in columns if one != "id" or "id" in changes]
        chosen = [changes.get(one, f't."{one}"') for one in kept]
        names = ", ".join(f'"{one}"' for one in kept)
        self.cursor.execute(
            f"{self.SERIES.format(self.times)} INSERT INTO {model._meta.db_table} ({names}) "
            f"SELECT {', '.join(chosen)} FROM {model._meta.db_table} t {join}, series "
            f"WHERE p.status IN ({self.among})".replace(
                ", series WHERE", " CROSS JOIN series WHERE"
            )
        )


CURRENT_CHECK = (
    "UPDATE proposals_proposal SET current_check_id = (SELECT id FROM proposals_check "
    "WHERE proposal_id = proposals_proposal.id) WHERE current_check_id IS NULL"
)


def analyse() -> None:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


def timed(ask: Callable[[], Any], times: int) -> tuple[float, float, float]:
    """Median and 95th percentile, and the median of this process's own time, in ms."""
    taken, own = [], []
    for _ in range(times):
        began, computed = time.perf_counter(), time.process_time()
        answer = ask()
        taken.append((time.perf_counter() - began) * 1000)
        own.append((time.process_time() - computed) * 1000)
        assert answer.status_code in {200, 302, 304}, answer.status_code
    worst = sorted(taken)[math.ceil(len(taken) * 0.95) - 1]
    return statistics.median(taken), worst, statistics.median(own)


def statements(ask: Callable[[], Any]) -> int:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    with CaptureQueriesContext(connection) as captured:
        ask()
    if os.environ.get("SLOW"):
        slow = sorted(captured.captured_queries, key=lambda one: -float(one["time"]))[:3]
        for one in slow:
            print("     ", one["time"], one["sql"][: int(os.environ["SLOW"])])
    return len(captured)


class Measuring:
    """The pages as one person asks for them."""

    def __init__(self, person: Any, times: int) -> None:
        from django.test import Client

        self.browser, self.times = Client(), times
        self.browser.force_login(person)
        self.person = person

    def report(self, name: str, ask: Callable[[], Any]) -> None:
        ask()  # the first of a kind compiles templates
        median, worst, own = timed(ask, self.times)
        times = f"{median:7.1f} | {worst:7.1f} | {own:7.1f}"
        print(f"| {name:34} | {times} | {statements(ask):3} |", flush=True)

    def get(self, url: str, **headers: str) -> Callable[[], Any]:
        return lambda: self.browser.get(url, headers=headers)

    def all(self) -> None:
        from proposals.models import Proposal

        print(f"| {'page':34} | median  | p95     | CPU     | SQL |")
        print(f"|{'-' * 36}|--------:|--------:|--------:|----:|")
        page = self.browser.get("/").content.decode()
        stored = page.partition('data-list-url="')[2].partition('"')[0].replace("&amp;", "&")
        self.report("queue, waiting on me", self.get("/"))
        self.report("queue, a stored list again", self.get(stored))
        self.report("queue, its last page", self.get(f"{stored}&page=10"))
        for tab in ("mine", "open", "moved", "soon", "held", "stuck"):
            self.report(f"queue, {tab}", self.get(f"/?tab={tab}"))
        self.report(
            "queue, filtered by tier and agent", self.get("/?tab=open&tier=medium&agent=bench-3")
        )
        self.report("queue, hidden characters (none)", self.get("/?tab=open&marked=hidden"))
        query = stored.partition("?")[2]
        self.report("pulse of the queue", self.get(f"/pulse/?{query}"))
        tag = self.browser.get(f"/pulse/?{query}").headers["ETag"]
        self.report("pulse, nothing new (304)", self.get(f"/pulse/?{query}", if_none_match=tag))
        one = Proposal.objects.filter(status="pending", tier="medium").order_by("-pk")[300]
        self.report("review", self.get(f"/proposals/{one.pk}/?{query}"))
        self.report("pulse of a review", self.get(f"/pulse/?proposal={one.pk}&status=pending"))
        for name, term in (
            ("object", one.resource),
            ("key", one.keys.get().key),
            ("agent", "bench-3"),
            ("run", "bench-run-7"),
            ("id", str(one.pk)),
        ):
            self.report(f"search by {name}", self.get(f"/search/?q={term}"))
        self.report("recent writes", self.get("/recent/"))
        self.decide(query)

    def decide(self, query: str) -> None:
        """Decisions, each on another proposal; the list is worked down."""
        from proposals import seats

        waiting = seats.waiting_on(self.person).filter(tier="medium").order_by("-pk")
        turns = iter(waiting[: self.times + 5])

        def send() -> Any:
            one = next(turns)
            return self.browser.post(
                f"/proposals/{one.pk}/decide/",
                {
                    "decision": "reject",
                    "digest": one.current_check.digest,
                    "reason": "Not today.",
                    "list": query,
                },
            )

        self.report("decide", send)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--open", type=int, default=10_000)
    parser.add_argument("--closed", type=int, default=100_000)
    parser.add_argument("--times", type=int, default=30)
    wanted = parser.parse_args()
    with scratch():
        from django.contrib.auth import get_user_model
        from django.db import connection

        people = get_user_model().objects
        reviewers = [people.get(username=name) for name in ("rita", "ravi", "saul", "sofia")]
        kinds = templates()
        began = time.perf_counter()
        filling = Filling(reviewers)
        filling.fill(kinds["closed"], wanted.closed // COPIES, timedelta(days=300))
        filling.fill(kinds["open"], wanted.open // COPIES, timedelta(days=3))
        Multiplying({"committed", "rejected"}, COPIES - 1).run()
        Multiplying({"pending"}, COPIES - 1).run()
        analyse()
        took = time.perf_counter() - began
        print(f"{connection.vendor}: {wanted.open:,} open, {wanted.closed:,} closed; {took:.0f} s")
        measuring = Measuring(reviewers[2], wanted.times)
        if os.environ.get("PROFILE"):
            import cProfile
            import pstats

            ask = measuring.get(os.environ["PROFILE"])
            ask()
            with cProfile.Profile() as profile:
                for _ in range(5):
                    ask()
            pstats.Stats(profile).sort_stats("cumulative").print_stats(60)
            return
        measuring.all()


if __name__ == "__main__":
    main()
