"""Secrets at rest: encrypted under a key that is not in the database.

The key comes from COUNTERSIGN_SECRETS_KEY, several separated by commas with the newest first, or
from a file in the data folder that its owner alone may read, made when the first secret is stored.
What cannot be decrypted is lost, not an error: whoever knows it must enter it again.
"""

import contextlib
import json
import os
import secrets
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.db import transaction

from proposals import redaction
from proposals.models import Secret


class VaultProblem(Exception):
    """Secrets can be neither stored nor read; says what to do."""


def path() -> Path:
    return Path(settings.DATA_DIR) / "secrets_key"


def keys(*, may_generate: bool = False) -> MultiFernet | None:
    """The keys in force, newest first; None where there is none. Raises VaultProblem."""
    given = settings.SECRETS_KEY or _from_file()
    if not given and may_generate:
        _write_new([Fernet.generate_key().decode()], exclusive=True)
        given = _from_file()
    try:
        found = [Fernet(key.strip()) for key in given.replace("\n", ",").split(",") if key.strip()]
    except ValueError:
        where = "COUNTERSIGN_SECRETS_KEY" if settings.SECRETS_KEY else str(path())
        raise VaultProblem(f"{where} holds what is no key: put back the copy you kept.") from None
    return MultiFernet(found) if found else None


def _from_file() -> str:
    try:
        if path().stat().st_mode & 0o077:
            raise VaultProblem(f"{path()} can be read by others: chmod 600 it.")
        return path().read_text()
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise VaultProblem(f"{path()} cannot be read ({type(error).__name__}).") from None


def _write_new(lines: list[str], *, exclusive: bool) -> None:
    """Write the key file whole or not at all; whoever makes the first one wins."""
    draft = path().with_name(f".secrets_key.{secrets.token_hex(4)}")
    try:
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w") as file:
            file.write("\n".join(lines) + "\n")
            file.flush()
            os.fsync(file.fileno())
        if exclusive:
            with contextlib.suppress(FileExistsError):
                os.link(draft, path())
            draft.unlink()
        else:
            draft.replace(path())
    except OSError as error:
        raise VaultProblem(f"{path()} cannot be written: {error.strerror}.") from None


def store(name: str, value: str) -> None:
    """Keep a secret under a name, in the caller's transaction. An empty one is forgotten."""
    redaction.remember(value)
    if not value:
        Secret.objects.filter(name=name).delete()
        return
    found = keys(may_generate=True)
    if found is None:
        raise VaultProblem("There is no key to encrypt secrets with.")
    # The name is inside as well: a row that is moved to another name opens nothing.
    sealed = found.encrypt(json.dumps([name, value]).encode()).decode()
    Secret.objects.update_or_create(name=name, defaults={"sealed": sealed})


def open_sealed(name: str, sealed: str) -> str | None:
    """The secret; None if the key is lost, damaged or another, or the row was tampered with."""
    try:
        found = keys()
        if found is None:
            return None
        inside, value = json.loads(found.decrypt(sealed.encode()))
    except (InvalidToken, VaultProblem, ValueError):
        return None
    if inside != name:
        return None
    redaction.remember(value)
    return value


def reveal(name: str) -> str | None:
    """The secret of this name; None where there is none, or where it can no longer be read."""
    sealed = Secret.objects.filter(name=name).values_list("sealed", flat=True).first()
    return None if sealed is None else open_sealed(name, sealed)


@transaction.atomic
def rotate() -> tuple[int, int]:
    """Encrypt every secret anew under the newest key. Returns how many, and how many were lost.

    With a key file a new key is made first, and the old ones are dropped once nothing needs them.
    With the environment variable the new key is yours to put first.
    """
    former = ""
    if not settings.SECRETS_KEY:
        former = _from_file().strip()
        _write_new([Fernet.generate_key().decode(), former], exclusive=False)
    found = keys(may_generate=True)
    if found is None:
        raise VaultProblem("There is no key to rotate.")
    done = lost = 0
    for secret in Secret.objects.select_for_update().order_by("pk"):
        try:
            secret.sealed = found.rotate(secret.sealed.encode()).decode()
        except InvalidToken:
            lost += 1
            continue
        secret.save(update_fields=["sealed", "changed_at"])
        done += 1
    if former and not lost:
        newest = _from_file().split()[0]
        # Only when the rows are safe under the new key may the old one go.
        transaction.on_commit(lambda: _write_new([newest], exclusive=False))
    return done, lost
