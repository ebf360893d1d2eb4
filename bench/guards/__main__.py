"""Removes every safety check in turn, and shows that some test fails for each.

    python -m bench.guards            all of them, each against the tests that it names
    python -m bench.guards fence ...  only those whose name contains a word
    python -m bench.guards outcomes   only those of a file of this folder

Works on a copy of the tree, so that nothing is lost when it is interrupted. Exits 1 if a check can
go without a test noticing.
"""

import sys
import tempfile
from pathlib import Path

from bench.guards import GUARDS, ROOMS, Guard


def chosen(words: list[str]) -> list[Guard]:
    by_room = {room.__name__.rpartition(".")[2]: room.GUARDS for room in ROOMS}
    found = [one for word in words for one in by_room.get(word, [])]
    found += [one for word in words for one in GUARDS if word not in by_room and word in one.name]
    return list(dict.fromkeys(found)) if words else GUARDS


def main(words: list[str]) -> int:
    found = chosen(words)
    with tempfile.TemporaryDirectory(prefix="countersign-guards-") as folder:
        unnoticed = [one for one in found if not one.is_noticed(Path(folder))]
    print(f"\n{len(found)} checks removed in turn, {len(unnoticed)} that no test noticed")
    for one in unnoticed:
        print(f"  {one.name} ({one.file})")
    return 1 if unnoticed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
