"""Why a person does something, as it is kept in the ledger and shown to others."""

from proposals import text
from proposals.services.decisions import invalid

LONGEST = 500
LONGEST_IN_FULL = 2000  # where others decide by it


def stated(reason: str, *, missing: str = "", longest: int = LONGEST) -> str:
    """The reason without white space around it. `missing` says why there must be one.

    Raises InvalidRequest at `/reason` for none where there must be one, for one that is longer than
    so many characters, and for one that no database stores.
    """
    said = reason.strip()
    if missing and not said:
        raise invalid("reason", "required", missing)
    if len(said) > longest:
        told = f"A reason has at most {longest:,} characters; this one has {len(said):,}."
        raise invalid("reason", "too-long", told)
    if not text.is_storable(said):
        raise invalid("reason", "unstorable-text", "NUL and lone surrogates cannot be stored.")
    return said
