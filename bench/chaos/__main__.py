"""Runs the harness from the command line.

python -m bench.chaos all                             the long form, on both databases
python -m bench.chaos crashes --database sqlite       one part
python -m bench.chaos crashes --database sqlite --seed 7 --first 120 --cycles 1   one replay
"""

import argparse
import json
import os
import secrets
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from importlib import import_module
from pathlib import Path
from typing import Any

from bench.chaos.servers import Cluster, Missing

ROOT = Path(__file__).resolve().parents[2]
# Of the long form: how many, and for how long at most, on each database.
LENGTHS = {
    "crashes": (25_000, 600),
    "pairs": (100, 600),
    "pauses": (100, 300),
    "restarts": (2_500, 900),
    "silence": (1_000, 120),
    "writers": (600, 120),
    "outside": (20_000, 3_600),
    "blackhole": (40, 300),
}
DATABASES = ("sqlite", "postgresql")
LEFT_OUT = 3


def main() -> int:
    args = arguments()
    if args.part == "all":
        return run_all(args)
    try:
        return run_one(args)
    except Missing as what:
        print(f"{args.part} on {args.database} was left out. {what}")
        return LEFT_OUT


def run_one(args: argparse.Namespace) -> int:
    """Run one part in this process, and print what it found, and how to replay it."""
    seed = secrets.randbelow(10**6) if args.seed is None else args.seed
    most, seconds = LENGTHS[args.part]
    cycles, seconds = args.cycles or most, args.seconds or seconds
    given = {"seed": seed, "first": args.first, "cycles": cycles, "seconds": seconds}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="chaos-")))
        folder.chmod(0o755)
        database, cluster = prepare(args.database, folder, stack)
        replay = f"python -m bench.chaos {args.part} --database {database} --seed {seed}"
        replay += f" --only {args.only}" * bool(args.only)
        print(f"{replay} --first {args.first} --cycles {cycles} --seconds {seconds:g}", flush=True)
        if args.part in {"restarts", "silence", "writers", "blackhole"}:
            given["cluster"] = cluster
        if args.only:
            given["only"] = args.only
        tally = play(args.part, args.without, folder=folder, **given)
    print(json.dumps(tally, indent=1))
    if tally["faults"]:
        print(f"What is wrong can be replayed:\n  {replay} {tally['replay']}")
    return bool(tally["faults"])


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench.chaos", description=__doc__)
    parser.add_argument("part", choices=[*LENGTHS, "all"])
    parser.add_argument(
        "--database",
        choices=[*DATABASES, "here"],
        default="sqlite",
        help="a fresh one, or `here`: migrated, and named by the environment",
    )
    parser.add_argument("--seed", type=int)
    parser.add_argument("--first", type=int, default=1, help="the number of the first cycle")
    parser.add_argument("--cycles", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=0, help="no new batch begins after it")
    parser.add_argument("--only", default="", help="of outside: keyed, or others")
    parser.add_argument("--without", default="", help="a guard to take out, to see it noticed")
    return parser.parse_args()


def prepare(database: str, folder: Path, stack: ExitStack) -> tuple[str, Any]:
    """Point the environment at fresh databases, and set Django up on them.

    Returns their kind, and the PostgreSQL that may be stopped, if it is the harness's own.
    """
    os.environ["DJANGO_SETTINGS_MODULE"] = "approvals_site.settings"
    os.environ |= {"LOG_LEVEL": "CRITICAL", "DEMO": "1", "EMAIL_URL": ""}
    if database != "here":
        os.environ["COUNTERSIGN_DATA"] = str(folder / "countersign")
        os.environ.pop("REDIS_URL", None)
    if database == "sqlite":
        os.environ |= {"DATABASE_URL": "", "SHOP_DATABASE_URL": ""}
    cluster = None
    if database == "postgresql":
        cluster = Cluster(folder / "postgresql").make()
        stack.callback(cluster.stop)
        os.environ["DATABASE_URL"] = cluster.new_database("countersign")
        os.environ["SHOP_DATABASE_URL"] = cluster.new_database("shop")
    import django
    from django.core.management import call_command
    from django.db import connection

    django.setup()
    if database != "here":
        call_command("migrate", verbosity=0)
    return connection.vendor, cluster


def play(part: str, without: str, **given: Any) -> dict[str, Any]:
    """Run one part in this process. Imported late: Django must be set up by then."""
    if without:
        breakages = import_module("bench.chaos.breakages")
        breakages.BREAKAGES[without]()
    return import_module(f"bench.chaos.{part}").run(**given).as_json()


def run_all(args: argparse.Namespace) -> int:
    """The long form: every part on both databases, each in a process of its own."""
    ended: dict[str, int] = {}
    for part in LENGTHS:
        for database in DATABASES:
            command = [sys.executable, "-m", "bench.chaos", part, "--database", database]
            given = {"--seed": args.seed, "--cycles": args.cycles, "--seconds": args.seconds}
            for name, value in given.items():
                command += [name, str(value)] if value else []
            done = subprocess.run(command, cwd=ROOT, check=False)
            ended[f"{part} on {database}"] = done.returncode
    for name, status in ended.items():
        said = {0: "nothing wrong", LEFT_OUT: "left out"}.get(status, "SOMETHING IS WRONG")
        print(f"  {name}: {said}")
    return any(status not in {0, LEFT_OUT} for status in ended.values())


if __name__ == "__main__":
    sys.exit(main())
