"""Signed checkpoints as text: C2SP signed notes (Ed25519) around C2SP checkpoints. Pure.

    countersign/5f0c...      origin: which log this is; also the name of the key
    1200                     how many entries are sealed
    3q2+7w...=               the root of the tree over them
    after 1100               the checkpoint before this one
    at 2026-01-31T12:00:00.000000Z

    — countersign/5f0c... <base64 of key id and signature>

Everything above the blank line is signed, and nothing else is ever signed with this key.
"""

import binascii
import hashlib
import secrets
from base64 import b64decode, b64encode
from collections.abc import Iterable
from datetime import datetime
from functools import cached_property
from typing import NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)

from ledger.chain import moment

ED25519 = b"\x01"
SECRET = "PRIVATE+KEY+"
DASH = "— "


class BadNote(ValueError):
    """A text that is not a key, or not a checkpoint signed by a known key; says why."""


class VerifyingKey:
    """A public key with its name; its text is what auditors keep."""

    def __init__(self, name: str, public: bytes) -> None:
        if not name or any(char.isspace() or char == "+" for char in name) or len(public) != 32:
            raise BadNote("a key has a name without spaces and plus signs, and 32 bytes")
        self.name, self.public = name, public

    @classmethod
    def parse(cls, text: str) -> "VerifyingKey":
        name, _, rest = text.strip().partition("+")
        data = _decode(rest.partition("+")[2])
        key = cls(name, data[1:])
        if str(key) != text.strip():
            raise BadNote("it is not a public key for Ed25519 notes")
        return key

    @cached_property
    def id(self) -> bytes:
        """The four bytes by which a signature names its key."""
        start = hashlib.sha256(self.name.encode() + b"\n" + ED25519 + self.public)
        return start.digest()[:4]

    @cached_property
    def _key(self) -> Ed25519PublicKey:
        return Ed25519PublicKey.from_public_bytes(self.public)

    def has_signed(self, text: str, signature: bytes) -> bool:
        try:
            self._key.verify(signature, text.encode())
        except InvalidSignature:
            return False
        return True

    def __str__(self) -> str:
        return f"{self.name}+{self.id.hex()}+{_encode(ED25519 + self.public)}"


class SigningKey:
    """A private key. Its text is a secret; printing it by accident shows the public half."""

    def __init__(self, name: str, seed: bytes) -> None:
        self._seed = seed
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.public = VerifyingKey(name, self._key.public_key().public_bytes_raw())

    @classmethod
    def generate(cls, name: str) -> "SigningKey":
        return cls(name, secrets.token_bytes(32))

    @classmethod
    def parse(cls, text: str) -> "SigningKey":
        name, _, rest = text.strip().removeprefix(SECRET).partition("+")
        data = _decode(rest.partition("+")[2])
        if len(data) != 33:
            raise BadNote("it is not a private key for Ed25519 notes")
        key = cls(name, data[1:])
        if key.secret() != text.strip():
            raise BadNote("it is not a private key for Ed25519 notes")
        return key

    def secret(self) -> str:
        key = self.public
        return f"{SECRET}{key.name}+{key.id.hex()}+{_encode(ED25519 + self._seed)}"

    def sign(self, text: str) -> str:
        """The note: the text, a blank line, and the line of the signature."""
        return signed(text, self.public, self._key.sign(text.encode()))

    def __str__(self) -> str:
        return str(self.public)


class TreeHead(NamedTuple):
    """What a checkpoint states."""

    origin: str
    size: int
    root: bytes
    after: int
    at: datetime

    def text(self) -> str:
        return (
            f"{self.origin}\n{self.size}\n{_encode(self.root)}\n"
            f"after {self.after}\nat {moment(self.at)}\n"
        )


class OpenedNote(NamedTuple):
    """A note taken apart; `key` is None where nobody could check a signature."""

    head: TreeHead
    key: VerifyingKey | None


def signed(text: str, key: VerifyingKey, signature: bytes) -> str:
    return f"{text}\n{DASH}{key.name} {_encode(key.id + signature)}\n"


def open_note(note: str, keys: Iterable[VerifyingKey]) -> OpenedNote:
    """What a note states, once a signature of one of the keys was found right.

    Other people's signatures beside it are passed over. Raises BadNote, also when there are keys
    and none of them signed; without any key only the form is checked.
    """
    text, blank, block = note.rpartition("\n\n")
    lines = block.split("\n")
    if not blank or lines.pop() or not lines:
        raise BadNote("it has no signature")
    text += "\n"
    head = parse_head(text)
    known = {(key.name, key.id): key for key in keys}
    signer = None
    for line in lines:
        name, _, data = line.removeprefix(DASH).partition(" ")
        blob = _decode(data)
        if not line.startswith(DASH) or len(blob) < 5:
            raise BadNote("a line of its signatures is malformed")
        key = known.get((name, blob[:4]))
        if key and key.name != head.origin:
            raise BadNote("its key is that of another log")
        if key and not key.has_signed(text, blob[4:]):
            raise BadNote("its signature is not that of its text")
        signer = signer or key
    if known and signer is None:
        raise BadNote("no known key has signed it")
    return OpenedNote(head, signer)


def parse_head(text: str) -> TreeHead:
    """The statement of a checkpoint's text; raises BadNote unless it is written as we write it."""
    try:
        origin, size, root, after, at, rest = text.split("\n")
        head = TreeHead(
            origin,
            int(size),
            _decode(root),
            int(after.removeprefix("after ")),
            datetime.fromisoformat(at.removeprefix("at ")),
        )
        if head.text() == text and not rest and len(head.root) == 32:
            return head
    except ValueError:
        pass
    raise BadNote("it is not the text of a checkpoint")


def _encode(data: bytes) -> str:
    return b64encode(data).decode()


def _decode(text: str) -> bytes:
    """Only the one spelling that `_encode` has for these bytes."""
    try:
        data = b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise BadNote("it holds text that is not base64") from None
    if _encode(data) != text:
        raise BadNote("it holds base64 that is not canonical")
    return data
