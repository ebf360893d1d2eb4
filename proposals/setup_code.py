"""The one-time code that proves that whoever sets up an installation can read its terminal.

Only its hash is kept, in the data folder, readable by the operator alone.
"""

import hashlib
import hmac
import os
import secrets
from pathlib import Path

from django.conf import settings

LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"  # without those that are mistaken for others
GROUPS, GROUP_LENGTH = 5, 4  # 100 bits


def path() -> Path:
    return settings.DATA_DIR / "setup-code"


def issue() -> str:
    """Make a code, in place of any before it, and return it, this once."""
    code = "-".join(
        "".join(secrets.choice(LETTERS) for _ in range(GROUP_LENGTH)) for _ in range(GROUPS)
    )
    forget()
    handle = os.open(path(), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w") as file:
        file.write(hashed(code))
    return code


def matches(given: str) -> bool:
    """Whether this is the code, however it was grouped or written."""
    try:
        known = path().read_text().strip()
    except FileNotFoundError:
        known = ""
    return hmac.compare_digest(known.encode(), hashed(given).encode())


def exists() -> bool:
    return path().exists()


def forget() -> None:
    """Make the code useless: it was used, or there is an administrator."""
    path().unlink(missing_ok=True)


def hashed(code: str) -> str:
    plain = "".join(code.upper().split()).replace("-", "")
    return hashlib.sha256(plain.encode()).hexdigest()
