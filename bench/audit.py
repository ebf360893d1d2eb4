"""How fast the auditor's list answers over a ledger of a million entries, and by which plans.

    DATABASE_URL=postgres://... python bench/audit.py [--entries 1000000] [--times 9] [--keep]

Fills a scratch database beside the configured one by SQL alone: entries, facets, mentions and
leaves as the product would have written them, except that hashes are not chained (no list reads
them as a chain; verification has a bench of its own). Then opens every filter, every search and
page steps through the admin itself, and exits 1 if one takes more than 300 ms at the 95th
percentile, counts all, skips rows, or scans a table of the ledger from end to end. `--keep` leaves
the database for the next time, which then finds it filled. `--shared` is for a machine that others
use meanwhile, where waiting for a turn would be measured: then what counts is the least CPU time of
this process plus the least time that the statements took.
"""

import argparse
import json
import os
import re
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
Result = tuple[str, float, float, list[str]]  # page, p95, CPU and statements, faults of the plans
LIMIT_MS = 300
STEPS = 3
SUGGESTED = (
    *(("agent", ""), ("agent", "bot-4"), ("agent", "none"), ("actor", ""), ("actor", "user:")),
    *(("actor", "ami"), ("action", ""), ("action", "records."), ("action", "zz")),
)
FORBIDDEN = re.compile(r"\bDISTINCT\b|\bOFFSET\b", re.I)
AGENT = "00000000-0000-7000-8000-%012d"

# Ten entries a proposal, thirty days in all, fifty agents, fifty thousand objects and a hot one.
FACTS = """
    SELECT i, i / 10 AS p, i %% 10 AS step, i / 10 %% 50 AS agent,
        %(now)s::timestamptz - (%(count)s - i) * (interval '30 days' / %(count)s) AS at,
        ('00000000-0000-7000-9000-' || lpad((i / 10)::text, 12, '0')) AS proposal,
        CASE WHEN i / 10 %% 97 = 0 THEN 'prices/1' ELSE 'orders/' || i / 10 %% 50000 END AS object,
        (ARRAY['low','low','low','low','low','low','low','medium','medium','high'])
            [1 + i / 10 %% 10] AS tier,
        (ARRAY['records.update','records.create','records.archive','email.send','payments.refund'])
            [1 + i / 10 %% 5] AS action,
        (ARRAY['proposal.submitted','proposal.checked','proposal.pending','proposal.reviewed',
               'proposal.approved','execution.claimed','execution.intended','proposal.committed',
               'user.signed_in','proposal.undone'])[1 + i %% 10] AS kind
    FROM generate_series(%(first)s, %(last)s) AS i
"""
SHAPED = f"""
    SELECT *, CASE WHEN step = 0 THEN 'agent:00000000-0000-7000-8000-' || lpad(agent::text, 12, '0')
        WHEN step IN (3, 4, 8) THEN 'user:' || p %% 40
        WHEN step = 1 THEN 'system:checks'
        ELSE 'system:worker' END AS actor,
        '00000000-0000-7000-8000-' || lpad(agent::text, 12, '0') AS agent_id,
        CASE WHEN step = 3 THEN 'Charged twice, ticket ' || p || ', word' || p %% 500 ELSE '' END
            AS reason,
        CASE WHEN step = 3 AND p %% 200 = 0 THEN 'quick'
            WHEN step = 4 AND p %% 3 = 0 THEN 'no_human'
            WHEN step = 9 THEN 'undone' WHEN step = 0 AND p %% 5000 = 0 THEN 'hidden' ELSE '' END
            AS flag
    FROM ({FACTS}) AS facts
"""
ENTRIES = f"""
    INSERT INTO ledger_ledgerentry (id, stream, number, kind, actor, actor_name, at, proposal,
        agent, run, object, canonical, previous, hash)
    SELECT 1000 + i, 'proposal:' || proposal, step + 1, kind, actor, '', at, proposal, agent_id,
        'run-' || p / 100, object,
        convert_to('{{"body":{{"note":"' || repeat('ordinary length ', 12) || '"}}}}', 'UTF8'),
        ''::bytea, sha256(i::text::bytea)
    FROM ({SHAPED}) AS shaped
"""
FACETS = f"""
    INSERT INTO ledger_facet (entry_id, at, kind, actor, origin, agent, action, tier, flag,
        revision, reason)
    SELECT 1000 + i, at, kind, actor, CASE WHEN actor LIKE 'agent:%%' THEN 'agent'
        WHEN actor LIKE 'user:%%' THEN 'person' ELSE 'worker' END, agent_id, action, tier, flag, 1,
        reason
    FROM ({SHAPED}) AS shaped
"""
MENTIONS = f"""
    INSERT INTO ledger_mention (name, value, at, entry_id)
    SELECT 'object', object, at, 1000 + i FROM ({FACTS}) AS facts
    UNION ALL SELECT 'digest', encode(sha256(p::text::bytea), 'hex'), at, 1000 + i
        FROM ({FACTS}) AS facts WHERE step IN (1, 3, 4)
    UNION ALL SELECT 'key', 'key-' || p, at, 1000 + i FROM ({FACTS}) AS facts WHERE step = 0
"""
LEAVES = """
    INSERT INTO ledger_leaf (leaf_index, entry_id, hash)
    SELECT i, 1000 + i, sha256('\\000'::bytea || sha256(i::text::bytea))
    FROM generate_series(%(first)s, %(last)s) AS i
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--times", type=int, default=9, help="how often each page is opened")
    parser.add_argument("--shared", action="store_true", help="others use this machine meanwhile")
    parser.add_argument("--only", default="", help="pages whose name contains this")
    parser.add_argument("--keep", action="store_true", help="keep the filled database")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"COUNTERSIGN_DATA": folder, "LOG_LEVEL": "ERROR", "DEMO": "0"}
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "approvals_site.settings")
        import django

        django.setup()
        from django.conf import settings
        from django.db import connection

        settings.ALLOWED_HOSTS.append("testserver")
        if connection.vendor != "postgresql":
            sys.exit("This measures PostgreSQL: set DATABASE_URL.")
        name = connection.settings_dict["NAME"]
        connection.creation.create_test_db(
            verbosity=0, autoclobber=True, serialize=False, keepdb=given.keep
        )
        try:
            is_good = measure(given.entries, given.times, given.shared, given.only)
        finally:
            connection.creation.destroy_test_db(name, verbosity=0, keepdb=given.keep)
    sys.exit(0 if is_good else 1)


def measure(count: int, times: int, is_shared: bool, only: str) -> bool:
    from django.db import connection

    from ledger.models import LedgerEntry

    newest = LedgerEntry.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
    if newest < count:
        fill(count)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_size_pretty(pg_database_size(current_database()))")
        (size,) = cursor.fetchone()
    print(f"PostgreSQL, {count:,} entries, {size}. Each page {times} times, in ms.\n")
    heads = f"{'p50':>6} {'p95':>6} {'cpu':>6} {'sql':>6} {'stmts':>5}"
    print(f"{'page':44} {'rows':>5} {heads}  plan", flush=True)
    client, results = sign_in(), []
    for name, query in pages(count).items():
        if only not in name:
            continue
        results += walk(client, name, query, times)
    results += [suggest(client, of, term, times) for of, term in SUGGESTED if only in "suggestions"]
    judged = [(name, least if is_shared else p95) for name, p95, least, _ in results]
    slow = [f"{name} ({spent:.0f})" for name, spent in judged if spent > LIMIT_MS]
    wrong = [f"{name}: {why}" for name, _, _, faults in results for why in faults]
    worst, most = max(judged, key=lambda each: each[1])
    by = "CPU and statements" if is_shared else "p95"
    print(f"\n{len(results)} pages; the slowest is {worst}, {most:.0f} ms by {by}.")
    for line in [*(f"over {LIMIT_MS} ms: {name}" for name in slow), *wrong]:
        print(line)
    return not slow and not wrong


def fill(count: int) -> None:
    from django.db import connection, transaction

    from ledger import clock, entries

    started = time.perf_counter()
    now = clock.now()  # one for all: an entry, its facet and its mentions are of the same moment
    with transaction.atomic():
        for number in range(50):
            key = AGENT % number
            body = {"name": f"bot-{number}", "owner": "user:1"}
            stream = f"agent:{key}"
            entries.record(stream, kind="agent.created", actor="user:1", agent=key, body=body)
    step = 100_000
    for first in range(0, count, step):
        bounds = {"count": count, "first": first, "last": min(first + step, count) - 1}
        bounds["now"] = now
        with connection.cursor() as cursor:
            for statement in (ENTRIES, FACETS, MENTIONS, LEAVES):
                cursor.execute(statement, bounds)
    count_days(count)
    break_some(count)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
    print(f"Filled in {time.perf_counter() - started:.0f} s.")


def count_days(count: int) -> None:
    """What the clock does of it after an upgrade: all days, in its own steps."""
    from ledger import clock, days
    from ledger.models import Checkpoint, DayCount

    Checkpoint.objects.create(size=count, root=bytes(32), at=clock.now(), note="", key_id="bench")
    longest, ticks, started = 0.0, 0, time.perf_counter()
    while True:
        begun = time.perf_counter()
        if not days.tick():
            break
        longest, ticks = max(longest, time.perf_counter() - begun), ticks + 1
    rows = DayCount.objects.count()
    print(
        f"Days counted in {time.perf_counter() - started:.0f} s: {ticks} ticks of the clock, "
        f"the longest {longest * 1000:.0f} ms; {rows:,} rows."
    )


def break_some(count: int) -> None:
    """A few entries that the clock found altered; by their bytes, all of this ledger are."""
    from ledger import clock
    from ledger.models import Broken

    at = clock.now()
    some = range(1000, 1000 + count, max(1, count // 20))
    Broken.objects.bulk_create(Broken(entry_id=pk, why="altered", found_at=at) for pk in some)


def sign_in():
    from django.contrib.auth.models import Permission, User
    from django.test import Client

    auditor, _ = User.objects.get_or_create(
        username="amir", defaults={"is_staff": True, "email": "amir@example.com"}
    )
    wanted = ("view_ledgerentry", "export_ledger")
    auditor.user_permissions.set(Permission.objects.filter(codename__in=wanted))
    client = Client()
    client.force_login(auditor)
    return client


def pages(count: int) -> dict[str, dict[str, str]]:
    """Every filter, every search and every shape of a bare term; and what combines badly."""
    from datetime import timedelta

    from ledger import clock, finding
    from ledger.models import LedgerEntry

    middle = LedgerEntry.objects.get(pk=1000 + count // 2 // 10 * 10)
    old, month = clock.now() - timedelta(days=20), clock.now() - timedelta(days=31)
    window = {"at_from": f"{old:%Y-%m-%d %H:%M}", "at_to": f"{old + timedelta(days=1):%Y-%m-%d}"}
    digest = middle.hash.hex() if isinstance(middle.hash, bytes) else bytes(middle.hash).hex()
    found = {
        "the list as it opens": {},
        "all time": {"at": "all"},
        "from and to, a past day": window,
        "to, a past day": {"at_to": window["at_to"]},
    }
    for name, choices in finding.CHOICES.items():
        for value in choices:
            found[f"{name} {value}"] = {name: value}
    for value in ("proposal.failed", "proposal.undone"):
        found[f"outcome {value}, all time"] = {"outcome": value, "at": "all"}
    found |= {
        "flag hidden, all time": {"flag": "hidden", "at": "all"},
        "flag unknown, all time": {"flag": "unknown", "at": "all"},
        "flag broken, all time": {"flag": "broken", "at": "all"},
        "flag broken, tier high": {"flag": "broken", "tier": "high", "at": "all"},
        "tier high, a past day": {"tier": "high", **window},
        "tier high, agent, all time": {"tier": "high", "agent": "bot-9", "at": "all"},
        "nothing fits: tier high, origin clock": {"tier": "high", "origin": "clock", "at": "all"},
        "nothing fits: tier, action and agent": {
            "tier": "medium",
            "action": "records.update",
            "agent": "bot-9",
            "at": "all",
        },
        "agent": {"agent": "bot-7"},
        "agent by id, all time": {"agent": AGENT % 7, "at": "all"},
        "actor": {"actor": "user:3"},
        "actor by name": {"actor": "amir", "at": "all"},
        "action": {"action": "payments.refund"},
        "action nobody took, all time": {"action": "no.such", "at": "all"},
        "object": {"object": middle.object, "at": "all"},
        "object touched ten thousand times": {"object": "prices/1", "at": "all"},
        "hot object, tier low, a past day": {"object": "prices/1", "tier": "low", **window},
    }
    terms = {
        **{"entry": middle.pk, "proposal": middle.proposal, "object": "prices/1"},
        **{"agent": "bot-7", "actor": "user:3", "kind": "proposal.reviewed", "run": middle.run},
        **{"key": f"key-{count // 20}", "request": "none", "digest": digest[:12]},
        **{"stream": middle.stream, "reason": f"word{7}"},
    }
    found |= {
        f"{prefix}: {value}"[:44]: {"q": f"{prefix}:{value}"} for prefix, value in terms.items()
    }
    found |= {
        "reason: two words, 31 days": {
            "q": "reason:charged word7",
            "at_from": f"{month:%Y-%m-%d}",
        },
        "reason: a word of every review": {"q": "reason:twice"},
        "reason: a word of none": {"q": "reason:nowhere"},
        "digest of a check": {"q": "digest:" + sha("5000")[:10]},
        "kind: of all proposals": {"q": "kind:proposal.committed"},
    }
    bare = (
        str(middle.pk),
        middle.proposal,
        AGENT % 7,
        digest[:16],
        "amir@example.com",
        "orders/77",
    )
    found |= {f"bare {term}"[:44]: {"q": term} for term in (*bare, "user:3", "refund")}
    return found


def sha(text: str) -> str:
    import hashlib

    return hashlib.sha256(text.encode()).hexdigest()


def walk(client, name: str, query: dict[str, str], times: int) -> list[Result]:
    """The first page, then older ones, then back; each as often as asked."""
    from django.urls import reverse

    address = reverse("admin:ledger_ledgerentry_changelist")
    results, label = [], name
    response = visit(client, address, query, label, times, results)
    for step in range(1, STEPS + 1):
        link = response.context_data["cl"].older_link
        if not link:
            break
        if step in (1, STEPS):
            response = visit(client, address + link, None, f"  older {step}", times, results, name)
        else:
            response = client.get(address + link)
        if name.startswith(("event ", "outcome ")):
            return results  # they are ranges of one index, which others walk to their end
    if link := response.context_data["cl"].newer_link:
        visit(client, address + link, None, "  newer", times, results, name)
    return results


def visit(client, address, query, label, times, results, of=""):
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    spent, computed, waited = [], [], []
    client.get(address, query)
    for _ in range(times):
        with CaptureQueriesContext(connection) as captured:
            started, computing = time.perf_counter(), time.process_time()
            response = client.get(address, query)
            computed.append((time.process_time() - computing) * 1000)
            spent.append((time.perf_counter() - started) * 1000)
        waited.append(sum(float(each["time"]) for each in captured) * 1000)
        assert response.status_code == 200, (label, response.status_code)
    asked = [each["sql"] for each in captured if "ledger_" in each["sql"]]
    nodes, faults = judge([sql for sql in asked if sql.startswith("SELECT")])
    spent.sort()
    p50, p95 = spent[len(spent) // 2], spent[round(0.95 * (len(spent) - 1))]
    cpu, sql = min(computed), min(waited)
    rows = len(response.context_data["cl"].result_list)
    figures = f"{p50:6.0f} {p95:6.0f} {cpu:6.0f} {sql:6.0f} {len(captured):5}"
    print(f"{label:44} {rows:5} {figures}  {', '.join(nodes)}", flush=True)
    results.append((f"{of}{label}" if of else label, p95, cpu + sql, faults))
    return response


def suggest(client, of: str, term: str, times: int) -> Result:
    """What a filter offers while it is typed."""
    from django.db import connection
    from django.test.utils import CaptureQueriesContext
    from django.urls import reverse

    spent, computed = [], []
    for _ in range(times + 1):
        with CaptureQueriesContext(connection) as captured:
            started, computing = time.perf_counter(), time.process_time()
            response = client.get(
                reverse("admin:ledger_ledgerentry_suggest"), {"of": of, "term": term}
            )
            computed.append((time.process_time() - computing) * 1000)
            spent.append((time.perf_counter() - started) * 1000)
    assert response.status_code == 200, (of, term, response.status_code)
    asked = [each["sql"] for each in captured if "ledger_" in each["sql"]]
    nodes, faults = judge([sql for sql in asked if sql.startswith("SELECT")])
    spent = sorted(spent[1:])
    p50, p95 = spent[len(spent) // 2], spent[round(0.95 * (len(spent) - 1))]
    cpu, sql = min(computed), sum(float(each["time"]) for each in captured) * 1000
    label, rows = f"suggestions: {of} {term}", len(response.json()["found"])
    figures = f"{p50:6.0f} {p95:6.0f} {cpu:6.0f} {sql:6.0f} {len(captured):5}"
    print(f"{label:44} {rows:5} {figures}  {', '.join(nodes)}", flush=True)
    return label, p95, cpu + sql, faults


def judge(statements: list[str]) -> tuple[list[str], list[str]]:
    """The nodes of all plans, and what must not be in them."""
    from django.db import connection

    from ledger.admin import patience

    nodes, faults = set(), []
    for sql in statements:
        if FORBIDDEN.search(sql):
            faults.append(f"DISTINCT or OFFSET in {sql[:200]}")
        if "COUNT(" in sql.upper() and "LIMIT" not in sql:
            faults.append(f"a full count: {sql[:200]}")
        with patience(), connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN (FORMAT JSON) {sql}".replace("%", "%%"), ())
            (plan,) = cursor.fetchone()
        plan = json.loads(plan) if isinstance(plan, str) else plan
        for node in flat(plan[0]["Plan"]):
            kind = node["Node Type"]
            table = node.get("Relation Name", "")
            nodes.add(kind)
            if kind == "Seq Scan" and table.startswith("ledger_"):
                faults.append(f"Seq Scan on {table}: {sql[:300]}")
    shown = ("Limit", "Aggregate", "Result", "Subquery Scan")
    return sorted(nodes - set(shown)), faults


def flat(node):
    yield node
    for inner in node.get("Plans", ()):
        yield from flat(inner)


if __name__ == "__main__":
    main()
