"""Writes a new app with one action that works, its tests, and how to install it."""

import importlib.util
import keyword
import re
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

TEMPLATE = Path(__file__).resolve().parent.parent.parent / "action_template"


class Command(BaseCommand):
    help = "Write a new app with one action, NAME.set, and its tests."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="lower-case letters, digits and underscores")
        parser.add_argument("--directory", default=".", help="where to put it; here, if not said")

    def handle(self, *args: Any, **options: Any) -> None:
        if not options["directory"]:
            raise CommandError("--directory is empty: say which folder, or leave it out for here.")
        name, folder = options["name"], Path(options["directory"]).resolve()
        require_free(name, folder / name)
        try:
            (folder / name).mkdir(parents=True)
            for source in sorted(TEMPLATE.glob("*-tpl")):
                text = source.read_text().replace("{{ app }}", name)
                (folder / name / source.name.removesuffix("-tpl")).write_text(text)
        except OSError as error:
            raise CommandError(f"{folder / name} cannot be written: {error.strerror}.") from error
        self.stdout.write(
            f"Made {folder / name}. Name it and say where it is:\n"
            f"  export COUNTERSIGN_APPS={name} PYTHONPATH={folder}\n"
            f"Then try it out:\n  python manage.py check_action {name}.set"
        )


def require_free(name: str, folder: Path) -> None:
    """Refuse what could not be imported, and what would stand in the way of something else."""
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,39}", name):
        raise CommandError(
            f"{name!r} is no name for an app: a lower-case letter, then up to 39 more, digits and "
            "underscores."
        )
    if keyword.iskeyword(name):
        raise CommandError(f"{name!r} is a keyword of Python; choose another.")
    if folder.exists():
        raise CommandError(f"{folder} already exists.")
    if importlib.util.find_spec(name) is not None:
        raise CommandError(f"{name!r} is the name of another Python module; choose another.")
