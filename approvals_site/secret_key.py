"""The key that signs sessions and links."""

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
        raise ImproperlyConfigured(f"{path} is damaged; restore it, or delete it to sign all out.")
    return key
