"""The key that signs sessions and links, and from which others are derived.

Second factors are encrypted under one, undos of actions over HTTP are marked with one, and the key
by which a target knows a write is made with it: after a restore, the same key is the same write.
"""

import secrets
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured


def given_or_kept(given: str, folder: Path) -> str:
    """The key that is given, else one made on first start and kept in this folder.

    Raises ImproperlyConfigured for one that could be guessed.
    """
    if given:
        if len(given) < 32 or "insecure" in given:
            raise ImproperlyConfigured("SECRET_KEY must be at least 32 random characters.")
        return given
    path = folder / "secret_key"
    try:
        with path.open("x") as file:
            path.chmod(0o600)
            file.write(secrets.token_urlsafe(50))
    except FileExistsError:
        pass
    key = path.read_text().strip()
    if len(key) < 32:
        raise ImproperlyConfigured(
            f"{path} is damaged: put back the copy you kept. Without one, deleting it has another "
            "made, under which all are signed out, stored second factors cannot be read, undos of "
            "actions over HTTP are refused, and writes get other keys (docs/operations.md)."
        )
    return key
