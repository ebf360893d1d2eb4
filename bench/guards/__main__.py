"""Removes every safety check in turn, and shows that some test fails for each.

    python -m bench.guards            all of them, each against the tests that it names
    python -m bench.guards fence ...  only those whose name contains a word
    python -m bench.guards outcomes   only those of a file of this folder

Works on copies of the tree, as many side by side as there are cores, so that nothing is lost when
it is interrupted. In the end the tests that noticed run once more on the tree as it is, where they
must pass: else they would have failed for another reason. Exits 1 if a check can go without a test
noticing, or if a test that noticed fails also with every check in its place.
"""

import os
import queue
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench.guards import GUARDS, ROOMS
from bench.guards.guard import Guard, Lane, Removal


def chosen(words: list[str]) -> list[Guard]:
    by_room = {room.__name__.rpartition(".")[2]: room.GUARDS for room in ROOMS}
    found = [one for word in words for one in by_room.get(word, [])]
    found += [one for word in words for one in GUARDS if word not in by_room and word in one.name]
    return list(dict.fromkeys(found)) if words else GUARDS


def removals(guards: list[Guard], lanes: list[Lane]) -> list[Removal]:
    """Remove each check in turn, in whichever lane is free."""
    free: queue.SimpleQueue[Lane] = queue.SimpleQueue()
    for lane in lanes:
        free.put(lane)

    def remove(guard: Guard) -> Removal:
        lane = free.get()
        try:
            found = lane.removal(guard)
        finally:
            free.put(lane)
        print(found, flush=True)
        return found

    with ThreadPoolExecutor(len(lanes)) as pool:
        return list(pool.map(remove, guards))


def false_alarms(found: list[Removal], lane: Lane) -> list[str]:
    """The tests that noticed and fail also with every check in its place."""
    failed: list[str] = []
    for on_postgresql in (False, True):
        seen_by = {t for r in found if r.guard.on_postgresql == on_postgresql for t in r.seen_by}
        if seen_by:
            url = lane.url if on_postgresql else os.environ.get("TEST_DATABASE_URL", "")
            failed += lane.fails_with_all(sorted(seen_by), url)
    return failed


def main(words: list[str]) -> int:
    found = chosen(words)
    with tempfile.TemporaryDirectory(prefix="countersign-guards-") as folder:
        lanes = [Lane(Path(folder) / f"lane{at}") for at in range(os.cpu_count() or 1)]
        for lane in lanes:
            lane.folder.mkdir()
        done = removals(found, lanes)
        failed = false_alarms(done, lanes[0])
    unnoticed = [one.guard for one in done if not one.seen_by]
    print(f"\n{len(found)} checks removed in turn, {len(unnoticed)} that no test noticed")
    for one in unnoticed:
        print(f"  {one.name} ({one.file})")
    seen_by = {test for one in done for test in one.seen_by}
    print(f"{len(seen_by)} tests noticed, {len(failed)} of them fail with all in place")
    for test in failed:
        print(f"  {test}")
    return 1 if unnoticed or failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
