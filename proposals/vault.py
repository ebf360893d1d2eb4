"""Secrets that the product must be able to use, kept so that the database alone gives none away.

The key is `secrets_key` in the data folder, readable by its owner alone; machines that share a
database share it too. Losing it loses the secrets: each has to be entered again.
"""

import os
import secrets
from functools import lru_cache
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken
from django.conf import settings


class VaultProblem(Exception):
    """A secret or its key cannot be used; says what to do."""


def encrypt(text: str) -> str:
    """What may be stored. Makes the key on first use. Raises VaultProblem."""
    return _cipher(_path()).encrypt(text.encode()).decode()


def decrypt(stored: str) -> str:
    """The text again. Raises VaultProblem where another key, or damage, made it unreadable."""
    try:
        return _cipher(_path()).decrypt(stored.encode()).decode()
    except InvalidToken:
        raise VaultProblem(
            f"A secret was encrypted with another key than {_path()}: put that key back, or enter "
            "the secret again."
        ) from None


def _path() -> Path:
    return Path(settings.DATA_DIR) / "secrets_key"


@lru_cache(maxsize=4)
def _cipher(path: Path) -> Fernet:
    try:
        if not path.exists():
            _write_new(path)
        if path.stat().st_mode & 0o077:
            raise VaultProblem(f"{path} can be read by others: chmod 600 it.")
        return Fernet(path.read_bytes().strip())
    except ValueError:
        raise VaultProblem(f"{path} is damaged: put back the copy you kept.") from None
    except OSError as error:
        raise VaultProblem(f"The key of secrets cannot be used: {error}.") from error


def _write_new(path: Path) -> None:
    """Write the key whole before it has its name; of two that start at once, one key stays."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(Fernet.generate_key() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        os.link(draft, path)
    except FileExistsError:
        pass  # another process was first, and its key is as good
    finally:
        draft.unlink()
