"""Checks an export of the ledger, offline: one file, the standard library and `cryptography`.

    python offline_verify.py EXPORT.zip [--key kept.pub] [--checkpoint kept.txt]

Every line of entries.jsonl must have the hash of its bytes, stand where the signed tree says, and
continue the entry before it wherever that one is in the export too. The tree is put together from
the exported entries and the hashes of what lies between them (tree.jsonl); its root must be the one
that the checkpoint's signature covers. `--key` takes the public keys that you keep yourself: the
ones inside the archive came with it, so they prove nothing to a stranger. `--checkpoint` takes a
note you kept; if it is of the same size, its root must be the same.

Exit status: 0 everything fits, 1 tampered with, 2 nothing wrong, but the key was not yours, 3 wrong
use. Stand-alone on purpose: it repeats what the product does rather than import it.
"""

import argparse
import base64
import csv
import hashlib
import io
import json
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

FORMAT = "countersign-ledger-export/v1"
PREFIX = b"ledger-entry/v1\0"
DASH = "— "
INTACT, TAMPERED, UNPROVEN, WRONG_USE = 0, 1, 2, 3


class Tampered(Exception):
    """The export is not what was sealed; says where."""


class WrongUse(Exception):
    """A file that is not there, or is no export, key or checkpoint."""


def verify(bundle: zipfile.ZipFile, keys: list[str], kept: str = "") -> dict[str, Any]:
    """The manifest of an export that fits together. Raises Tampered with the first misfit."""
    manifest = json.loads(read(bundle, "manifest.json"))
    if manifest.get("format") != FORMAT:
        raise WrongUse(f"This reads {FORMAT}, and the export is {manifest.get('format')}.")
    check_files(bundle, manifest["files"])
    size, root = check_note(read(bundle, "checkpoint.txt").decode(), keys)
    leaves = check_entries(lines(bundle, "entries.jsonl"))
    if len(leaves) != manifest["count"]:
        raise Tampered(f"The manifest counts {manifest['count']} entries, there are {len(leaves)}.")
    if count_rows(bundle) != len(leaves):
        raise Tampered("entries.csv has another number of rows than entries.jsonl.")
    if (manifest["sealed"]["size"], bytes.fromhex(manifest["sealed"]["root"])) != (size, root):
        raise Tampered("The manifest states another sealed position than the checkpoint.")
    if compute_root(leaves, lines(bundle, "tree.jsonl"), size) != root:
        raise Tampered("The entries are not those that the checkpoint covers.")
    if kept:
        kept_size, kept_root = check_note(kept, keys)
        if kept_size == size and kept_root != root:
            raise Tampered("The checkpoint that you kept has another root at the same size.")
    return manifest


def check_files(bundle: zipfile.ZipFile, files: dict[str, Any]) -> None:
    names = set(bundle.namelist())
    if names != {*files, "manifest.json"} or len(names) != len(bundle.namelist()):
        raise Tampered(f"The files are not those of the manifest: {sorted(names)}.")
    for name, stated in files.items():
        digest = hashlib.sha256()
        with bundle.open(name) as file:
            while piece := file.read(1 << 20):
                digest.update(piece)
        if digest.hexdigest() != stated["sha256"]:
            raise Tampered(f"{name} is not the file that the manifest names.")


def check_entries(rows: Iterator[dict[str, Any]]) -> dict[int, bytes]:
    """The hash of the leaf of each entry, by its place."""
    leaves: dict[int, bytes] = {}
    streams: dict[tuple[str, int], tuple[str, str]] = {}
    for row in rows:
        data = row["canonical"].encode()
        hash_ = hashlib.sha256(PREFIX + data).digest()
        if hash_.hex() != row["hash"]:
            raise Tampered(f"Entry {row['entry']} does not have the hash of its bytes.")
        if row["leaf"] in leaves:
            raise Tampered(f"Two entries claim the place {row['leaf']}.")
        leaves[row["leaf"]] = hashlib.sha256(b"\0" + hash_).digest()
        facts = json.loads(data)
        place = (facts["stream"], facts["number"])
        if place in streams:
            raise Tampered(f"Entry {row['entry']} is there twice in its stream.")
        streams[place] = (facts["previous"], row["hash"])
    for (stream, number), (previous, _) in streams.items():
        before = streams.get((stream, number - 1))
        if before and before[1] != previous:
            raise Tampered(f"Number {number} of {stream} does not continue the one before it.")
    return leaves


def compute_root(leaves: dict[int, bytes], between: Iterator[dict[str, Any]], size: int) -> bytes:
    """The root over the exported leaves and the subtrees between them (RFC 9162 hashing)."""
    parts = {index: (0, leaf) for index, leaf in leaves.items()}
    for row in between:
        start = row["position"] << row["level"]
        if start in parts:
            raise Tampered("tree.jsonl covers entries that are in the export.")
        parts[start] = (row["level"], bytes.fromhex(row["hash"]))
    peaks: list[tuple[int, bytes]] = []
    here = 0
    for start in sorted(parts):
        if start != here:
            raise Tampered(f"The tree has a hole at {here}.")
        level, hash_ = parts[start]
        here += 1 << level
        while peaks and peaks[-1][0] == level:
            hash_ = hashlib.sha256(b"\1" + peaks.pop()[1] + hash_).digest()
            level += 1
        peaks.append((level, hash_))
    if here != size or not peaks:
        raise Tampered(f"The tree covers {here} entries and the checkpoint {size}.")
    root = peaks.pop()[1]
    while peaks:
        root = hashlib.sha256(b"\1" + peaks.pop()[1] + root).digest()
    return root


def check_note(note: str, keys: list[str]) -> tuple[int, bytes]:
    """Size and root of a checkpoint that one of the keys has signed."""
    text, _, block = note.rpartition("\n\n")
    text += "\n"
    head = text.split("\n")
    for line in block.splitlines():
        name, _, data = line.removeprefix(DASH).partition(" ")
        blob = base64.b64decode(data)
        for key in keys:
            key_name, public = parse_key(key)
            fingerprint = hashlib.sha256(f"{key_name}\n".encode() + b"\x01" + public).digest()[:4]
            if (key_name, fingerprint) != (name, blob[:4]) or head[0] != name:
                continue
            try:
                Ed25519PublicKey.from_public_bytes(public).verify(blob[4:], text.encode())
            except InvalidSignature:
                raise Tampered("The checkpoint's signature is not that of its text.") from None
            return int(head[1]), base64.b64decode(head[2])
    raise Tampered("No known key has signed the checkpoint.")


def read_own(name: str) -> str:
    """The text of a file of yours; what is none says nothing about the export."""
    if not name.strip():
        raise WrongUse("The name of a file is empty.")
    try:
        return Path(name).read_text()
    except UnicodeDecodeError:
        raise WrongUse(f"{name} is no text.") from None


def read_kept(name: str) -> str:
    """The checkpoint in a file of yours."""
    note = read_own(name).strip() + "\n"
    text, _, block = note.rpartition("\n\n")
    signatures, head = block.splitlines(), text.split("\n")
    try:
        int(head[1]), base64.b64decode(head[2], validate=True)
        for line in signatures:
            base64.b64decode(line.removeprefix(DASH).partition(" ")[2], validate=True)
    except (ValueError, IndexError):
        signatures = []
    if not signatures or not all(line.startswith(DASH) for line in signatures):
        raise WrongUse(f"{name} is no checkpoint of a ledger.")
    return note


def parse_key(text: str) -> tuple[str, bytes]:
    """Name and bytes of a public key in the form name+fingerprint+base64."""
    name, _, rest = text.strip().partition("+")
    try:
        data = base64.b64decode(rest.partition("+")[2], validate=True)
    except ValueError:
        data = b""
    if len(data) != 33 or data[:1] != b"\x01":
        raise WrongUse(f"This is no public key of a ledger: {text.strip()[:80]!r}.")
    return name, data[1:]


def read(bundle: zipfile.ZipFile, name: str) -> bytes:
    try:
        return bundle.read(name)
    except KeyError:
        raise Tampered(f"{name} is missing.") from None


def lines(bundle: zipfile.ZipFile, name: str) -> Iterator[dict[str, Any]]:
    with bundle.open(name) as file:
        for line in file:
            yield json.loads(line)


def count_rows(bundle: zipfile.ZipFile) -> int:
    with bundle.open("entries.csv") as file:
        return sum(1 for _ in csv.reader(io.TextIOWrapper(file, "utf-8", newline=""))) - 1


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("export", help="the archive")
    parser.add_argument("--key", help="a file of public keys that you keep, one a line")
    parser.add_argument("--checkpoint", help="a checkpoint that you keep")
    given = parser.parse_args(arguments)
    csv.field_size_limit(1 << 24)
    try:
        with zipfile.ZipFile(given.export) as bundle:
            own = read(bundle, "public_keys.txt").decode()
            text = own if given.key is None else read_own(given.key)
            keys = [line for line in text.splitlines() if line.strip()]
            if given.key is not None and not keys:
                raise WrongUse(f"{given.key} holds no public key.")
            kept = "" if given.checkpoint is None else read_kept(given.checkpoint)
            manifest = verify(bundle, keys, kept)
    except (OSError, zipfile.BadZipFile, WrongUse) as error:
        print(f"Nothing was checked: {error}", file=sys.stderr)
        return WRONG_USE
    except Tampered as error:
        print(f"TAMPERED. {error}")
        return TAMPERED
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        print(f"TAMPERED. The export cannot be read ({type(error).__name__}: {error}).")
        return TAMPERED
    print(f"{manifest['count']:,} entries, as sealed at {manifest['sealed']['size']:,}: intact.")
    if left_out := manifest["left_out_because_not_yet_sealed"]:
        print(f"{left_out:,} more matched and were not sealed yet.")
    print("Not checked: whether the filters left anything out that they name, and whether what the")
    print("entries say was true when they were written.")
    if given.key:
        return INTACT
    print("Not proven: the public key came with the export. Pass the one you keep (--key).")
    return UNPROVEN


if __name__ == "__main__":
    sys.exit(main())
