"""What sealing costs and how fast the whole ledger is verified.

    python bench/ledger.py [--entries 100000]

Works on a scratch database beside the configured one (DATABASE_URL, or SQLite) and drops it.
"""

import argparse
import os
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
PER_STREAM = 100
BATCH = 5000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--entries", type=int, default=100_000)
    entries = parser.parse_args().entries
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"COUNTERSIGN_DATA": folder, "LOG_LEVEL": "ERROR"}
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "approvals_site.settings")
        import django

        django.setup()
        from django.db import connection

        name = connection.settings_dict["NAME"]
        connection.creation.create_test_db(verbosity=0, autoclobber=True)
        try:
            measure(entries)
        finally:
            connection.creation.destroy_test_db(name, verbosity=0)


def measure(count: int) -> None:
    from django.db import connection

    from ledger import sealer
    from ledger.models import Checkpoint, Leaf
    from ledger.verify import verify

    fill(count)
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")
    horizon, started, computed = sealer.Horizon(), time.perf_counter(), time.process_time()
    while Leaf.objects.count() <= count:  # one more than was filled: the key's own entry
        sealer.tick(horizon)
    seconds, computed = time.perf_counter() - started, time.process_time() - computed
    print(f"{connection.vendor}: {count:,} entries")
    batches = Checkpoint.objects.count()
    print(f"  sealing      {seconds / count * 1e6:8.1f} us an entry, {batches} checkpoints")
    print(f"    in this process {computed / count * 1e6:5.1f} us")
    for _ in range(2 * count // sealer.LOOK + 8):  # until the floor and the look-back are through
        sealer.tick(horizon)
    started = time.perf_counter()
    for _ in range(100):
        sealer.tick(horizon)
    print(f"  idle tick    {(time.perf_counter() - started) / 100 * 1e6:8.1f} us")
    computed = time.process_time()
    report = verify()
    computed = time.process_time() - computed
    assert report.result == 0, (report.first_bad, report.unproven)
    speed = report.entries / report.seconds
    print(f"  verifying    {report.seconds:8.2f} s, {speed:,.0f} entries a second")
    print(f"    in this process {computed:5.2f} s")
    one_by_one()


def one_by_one() -> None:
    """Sealing at the pace of the clock: few entries in a batch, on a tree that is large."""
    from django.db import transaction

    from ledger import entries, sealer

    # A new leader: its first ticks also look back over the ledger, a slice in each.
    horizon, spent = sealer.Horizon(), []
    while len(spent) < 50 or not horizon.look_back_at:
        with transaction.atomic():
            for n in range(5):
                entries.record("bench", kind="bench.recorded", actor="system:bench", body={"n": n})
        started = time.perf_counter()
        sealer.tick(horizon)
        spent.append(time.perf_counter() - started)
    dearest, middle = max(spent) * 1e3, sorted(spent)[len(spent) // 2] * 1e3
    print(f"  busy tick    {middle:8.2f} ms for 5 entries, {dearest:.2f} ms at most")


def fill(count: int) -> None:
    """Streams of a hundred entries each, as appending would have written them."""
    from ledger import chain, clock
    from ledger.models import LedgerEntry, Stream

    at, made, streams = clock.now() - timedelta(seconds=5), [], []
    for number in range(count):
        place = number % PER_STREAM
        if place == 0:
            name, previous = f"proposal:{number // PER_STREAM:032x}", b""
        columns = {
            "stream": name,
            "number": place + 1,
            "kind": "proposal.submitted",
            "actor": "agent:018f3c5e-0000-7000-8000-000000000001",
            "actor_name": "shop-assistant",
            "at": at + timedelta(microseconds=number),
            "proposal": f"{number // PER_STREAM:032x}",
            "agent": "018f3c5e-0000-7000-8000-000000000001",
            "run": "run-1",
            "object": f"orders/{number % 1000}",
            "previous": previous,
        }
        body = {"action": "records.update", "content": "0" * 64, "note": "ordinary length " * 12}
        data = chain.ledger_canonical(chain.statement(**columns, body=body))
        previous = chain.entry_hash(data)
        made.append(LedgerEntry(**columns, canonical=data, hash=previous))
        if place == PER_STREAM - 1 or number == count - 1:
            streams.append(Stream(name=name, ledger_number=place + 1, ledger_hash=previous))
        if len(made) == BATCH or number == count - 1:
            LedgerEntry.objects.bulk_create(made)
            made = []
    Stream.objects.bulk_create(streams, batch_size=BATCH)


if __name__ == "__main__":
    main()
