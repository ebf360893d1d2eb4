"""Readers of the environment. What cannot be read ends in a sentence with its name and value."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import environ
from django.core.exceptions import ImproperlyConfigured

env = environ.Env()
MOST = 1_000_000_000  # of seconds, too, a moment can still be reckoned from
LEVELS = "DEBUG, INFO, WARNING, ERROR or CRITICAL"


def yes_or_no(name: str, default: bool) -> bool:
    """A yes or no; a typo raises instead of meaning no."""
    raw = env.str(name, default="").strip().lower()
    if not raw:
        return default
    if raw in {"1", "true", "yes", "on"}:
        return True
    if raw in {"0", "false", "no", "off"}:
        return False
    raise ImproperlyConfigured(f"{name} must be 1 or 0, not {raw!r}.")


def whole(name: str, default: int, *, least: int = 1, most: int = MOST) -> int:
    """A whole number within these bounds. Empty is the default."""
    raw = env.str(name, default="").strip()
    try:
        found = int(raw) if raw else default
    except ValueError:
        found = None
    if found is None or not least <= found <= most:
        raise ImproperlyConfigured(
            f"{name} must be a whole number from {least} to {most}, not {raw[:40]!r}."
        )
    return found


def level(name: str, default: str) -> str:
    """The name of a level of logging. Empty is the default."""
    raw = env.str(name, default="").strip()
    found = raw.upper() or default
    if found not in logging.getLevelNamesMapping():
        raise ImproperlyConfigured(f"{name} must be {LEVELS}, not {raw!r}.")
    return found


def folder(name: str, default: Path) -> Path:
    """A folder that is there, made for its owner alone if it was not. Empty is the default."""
    path = Path(env.str(name, default="") or default)
    try:
        path = path.resolve()
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
    except (OSError, RuntimeError) as error:  # the latter of links that lead back to themselves
        why = getattr(error, "strerror", None) or error
        raise ImproperlyConfigured(
            f"{name} must be a folder that is there or can be made, not {str(path)!r}: {why}."
        ) from None
    return path


@contextmanager
def keeping_in(path: Path) -> Iterator[None]:
    """Around what is read from the data folder, or made there on first start."""
    try:
        yield
    except OSError as error:
        why = f"{error.filename or path}: {error.strerror}"
        raise ImproperlyConfigured(
            f"The data folder {path}, which COUNTERSIGN_DATA names, cannot be used: {why}."
        ) from None


def apps(name: str) -> list[str]:
    """Django apps by the names of their modules, or of their configurations.

    Only whether there is such a package is looked at: to look into it runs it, and it may want the
    settings that are being made.
    """
    found = [each.strip() for each in env.list(name, default=[])]
    for app in found:
        first = app.partition(".")[0]
        if not first or find_spec(first) is None:
            raise ImproperlyConfigured(
                f"{name} must name Python modules, with commas between them, and there is none "
                f"named {app!r}; PYTHONPATH says where others are."
            )
    return found
