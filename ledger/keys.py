"""The key that signs checkpoints, in the data folder. Only the clock process needs to read it.

`sealing_key` is the private key, readable by its owner alone. `sealing_key.pub` holds a line for
each key that this installation ever sealed with, newest last: what `verify_ledger` trusts when it
is given no other file.
"""

import os
import secrets
from pathlib import Path

from django.conf import settings

from ledger.notes import BadNote, SigningKey, VerifyingKey


class KeyProblem(Exception):
    """The sealing key is missing, damaged or too widely readable; says what to do."""


def private_path() -> Path:
    return Path(settings.DATA_DIR) / "sealing_key"


def public_path() -> Path:
    return Path(settings.DATA_DIR) / "sealing_key.pub"


def signing_key(*, may_generate: bool) -> SigningKey:
    """The private key; made on first use. With `may_generate` off, a missing key is refused."""
    path = private_path()
    try:
        if may_generate and not path.exists():
            _write_new(path, SigningKey.generate(f"countersign/{secrets.token_hex(8)}"))
        if path.stat().st_mode & 0o077:
            raise KeyProblem(f"{path} can be read by others: chmod 600 it, and think of replacing.")
        return SigningKey.parse(path.read_text())
    except FileNotFoundError:
        raise KeyProblem(
            f"{path} is missing, but checkpoints were signed with it: put it back."
        ) from None
    except (BadNote, UnicodeDecodeError):
        raise KeyProblem(f"{path} is damaged: put back the copy you kept.") from None
    except OSError as error:
        raise KeyProblem(f"The sealing key cannot be used: {error}.") from error


def publish(key: VerifyingKey) -> None:
    """Add a key to the public ones, unless it is there."""
    path = public_path()
    try:
        known = path.read_text().splitlines() if path.exists() else []
        if str(key) not in known:
            draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
            draft.write_text("\n".join([*known, str(key)]) + "\n")
            draft.chmod(0o644)
            draft.replace(path)
    except OSError as error:
        raise KeyProblem(f"{path} cannot be written: {error}.") from error


def verifying_keys(path: Path | None = None) -> list[VerifyingKey]:
    """The public keys of a file, one a line; none if this installation has not sealed yet."""
    try:
        text = (path or public_path()).read_text()
        found = [VerifyingKey.parse(line) for line in text.splitlines() if line.strip()]
    except FileNotFoundError:
        if path is None:
            return []
        raise KeyProblem(f"There is no file {path}.") from None
    except (BadNote, OSError, UnicodeDecodeError) as error:
        raise KeyProblem(f"{path or public_path()} holds no public keys: {error}") from error
    if not found:
        raise KeyProblem(f"{path or public_path()} is empty.")
    return found


def replace() -> None:
    """Seal with a new key from now on: for a key that is lost, or that others may have read.

    The log keeps its name. Whoever pinned the old public key must be given the new one by hand.
    """
    known = verifying_keys()
    if not known:
        raise KeyProblem(f"{public_path()} is missing: put it back, it names the log.")
    path = private_path()
    if path.exists():
        path.rename(path.with_name(f"{path.name}.retired-{secrets.token_hex(4)}"))
    key = SigningKey.generate(known[-1].name)
    _write_new(path, key)
    publish(key.public)


def _write_new(path: Path, key: SigningKey) -> None:
    """Write the key whole before it has its name; of two that start at once, one key stays."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "w") as file:
            file.write(f"{key.secret()}\n")
            file.flush()
            os.fsync(file.fileno())
        os.link(draft, path)
    except FileExistsError:
        pass  # another process was first, and its key is as good
    finally:
        draft.unlink()
