"""Files that are named at the command line."""

from pathlib import Path


def named(text: str) -> Path:
    """The path. Raises FileNotFoundError for an empty name: not the folder that one is in."""
    if not text.strip():
        raise FileNotFoundError("The name of the file is empty.")
    return Path(text)
