"""Definitions that come with the product, to begin from."""

from pathlib import Path
from typing import Any

from proposals.http_actions import reading

FOLDER = Path(__file__).resolve().parent / "ready"


def names() -> list[str]:
    """What they are called, such as `stripe-refund`."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def text(name: str) -> str:
    """One of them as it stands, with its comments. Raises LookupError."""
    if name not in names():
        raise LookupError(f"There is no ready-made definition {name!r}.")
    return (FOLDER / f"{name}.yaml").read_text()


def definition(name: str) -> dict[str, Any]:
    """One of them as a JSON value that `services.save_http_action` takes. Raises LookupError."""
    return reading.from_yaml(text(name))[0].as_json()
