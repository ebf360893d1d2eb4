"""Runs a part of the harness from the command line; see `python -m bench.chaos --help`."""

import argparse
import json
import os
import secrets
import sys
import tempfile
from pathlib import Path


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench.chaos")
    parser.add_argument("part", choices=["crashes", "pauses"])
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--cycles", type=int, default=1000)
    parser.add_argument("--without", default="")
    args = parser.parse_args()
    seed = secrets.randbelow(10**6) if args.seed is None else args.seed
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "approvals_site.settings")
    os.environ["LOG_LEVEL"] = "CRITICAL"
    django.setup()
    from bench.chaos import breakages, crashes, pauses

    if args.without:
        breakages.BREAKAGES[args.without]()
    part = {"crashes": crashes, "pauses": pauses}[args.part]
    with tempfile.TemporaryDirectory() as folder:
        tally = part.run(seed=seed, first=args.first, cycles=args.cycles, folder=Path(folder))
    print(json.dumps(tally.as_json(), indent=1))
    return bool(tally.faults)


if __name__ == "__main__":
    sys.exit(main())
