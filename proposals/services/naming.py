"""How people appear in the ledger."""

from typing import Any


def named(person: Any) -> tuple[str, str]:
    """Actor and name of a person; without one it was the operator at the command line."""
    if person is None:
        return "system:operator", ""
    return f"user:{person.pk}", person.get_full_name() or person.get_username()
