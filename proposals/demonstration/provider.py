"""The demonstration's payment provider: a small one, as Stripe is a large one.

    python -m proposals.demonstration.provider --folder FOLDER --port PORT

It listens on 127.0.0.1, wants a secret key, honours idempotency keys for 24 hours, refuses to give
back more than was paid, and takes a refund back until the money has left. Its page shows what
reached it.
"""

import base64
import binascii
import contextlib
import hmac
import json
import os
import secrets
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from proposals.demonstration import outside, provider_pages
from proposals.demonstration.charges import Answer, Charges, Refusal

MAX_BODY_BYTES, MAX_KEY_LENGTH = 64 * 1024, 255


def store(folder: Path) -> Charges:
    return Charges(folder / "demonstration-payments.sqlite3")


def secret_key(folder: Path) -> str:
    """The key that callers must show, made when it is first asked for; its owner alone reads it."""
    path = folder / "demonstration-provider-key"
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(f"sk_test_{secrets.token_hex(16)}\n")
    with contextlib.suppress(FileExistsError):
        os.link(draft, path)
    draft.unlink()
    return path.read_text().strip()


class Provider(outside.Server):
    def __init__(self, port: int, charges: Charges, secret: str) -> None:
        super().__init__(port, Session)
        self.charges, self.secret = charges, secret


class Session(outside.Session):
    server: Provider

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        if self.send_common(parts.path):
            return
        asked = dict(parse_qsl(parts.query))
        if parts.path == "/":
            self.page("Payment provider", provider_pages.overview(self.server.charges, asked))
        else:
            self.answer(lambda: read(self.server.charges, parts.path, asked))

    def do_POST(self) -> None:
        if self.send_common(self.path):
            return
        if self.path == "/lose-next-answer" and self.is_sent_by_our_page():
            self.server.charges.lose_next_answer()
            self.send(303, "text/plain", b"", Location="/")
        else:
            self.answer(self.write)

    def write(self) -> Answer:
        """Do what a form asks for. Raises Refusal for what is malformed, which uses up no key."""
        params, key = self.form(), self.key()
        match self.path.strip("/").split("/"):
            case ["v1", "refunds"]:
                return self.server.charges.give_back(params, key=key)
            case ["v1", "refunds", refund_id, "cancel"]:
                return self.server.charges.cancel(refund_id, params, key=key)
        raise unknown_address("POST", self.path)

    def answer(self, work: Callable[[], Answer]) -> None:
        try:
            if not self.is_known():
                raise Refusal(401, "You did not provide the secret key of this account.")
            said = work()
        except Refusal as refusal:
            said = refusal.answer
        self.server.charges.note(f"{self.command} {self.path}"[:300], self.key_or_nothing(), said)
        if self.command == "POST" and self.server.charges.answer_is_lost():
            return  # what was done is done, and nobody hears of it
        headers = {"Idempotent-Replayed": "true"} if said.is_replay else {}
        body = json.dumps(said.body, indent=2).encode()
        self.send(said.status, "application/json", body, **headers)

    def is_known(self) -> bool:
        """Whether the caller shows the secret key, as a bearer or as the user of basic."""
        scheme, _, shown = self.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "basic":
            try:
                shown = base64.b64decode(shown, validate=True).decode().partition(":")[0]
            except (binascii.Error, UnicodeDecodeError):
                return False
        elif scheme.lower() != "bearer":
            return False
        return hmac.compare_digest(shown.strip().encode(), self.server.secret.encode())

    def form(self) -> dict[str, str]:
        length = self.headers.get("Content-Length", "0")
        if not length.isdigit() or int(length) > MAX_BODY_BYTES:
            raise Refusal(413, f"A request may have {MAX_BODY_BYTES} bytes.")
        body = self.rfile.read(int(length))
        if len(body) < int(length):
            raise Refusal(400, "The request ended early.")
        kind = self.headers.get("Content-Type", "").partition(";")[0].strip()
        if body and kind != "application/x-www-form-urlencoded":
            raise Refusal(400, "Requests must be form-encoded: application/x-www-form-urlencoded.")
        try:
            fields = parse_qsl(body.decode(), keep_blank_values=True, strict_parsing=bool(body))
        except ValueError:
            raise Refusal(400, "The form cannot be read.") from None
        if len(dict(fields)) < len(fields):
            raise Refusal(400, "A parameter is given twice.")
        return dict(fields)

    def key(self) -> str:
        key = self.key_or_nothing()
        if len(key) > MAX_KEY_LENGTH:
            raise Refusal(400, f"An idempotency key may have {MAX_KEY_LENGTH} characters.")
        return key

    def key_or_nothing(self) -> str:
        return self.headers.get("Idempotency-Key", "")


def read(charges: Charges, path: str, asked: dict[str, str]) -> Answer:
    match path.strip("/").split("/"):
        case ["v1", "charges", charge_id]:
            return Answer(200, charges.charge(charge_id))
        case ["v1", "refunds"]:
            return Answer(200, charges.refunds(asked))
        case ["v1", "refunds", refund_id]:
            return Answer(200, charges.refund(refund_id))
    raise unknown_address("GET", path)


def unknown_address(method: str, path: str) -> Refusal:
    return Refusal(404, f"Unrecognized request URL ({method}: {path[:200]}).")


def main() -> None:
    given = outside.arguments(__doc__, "port")
    server = Provider(given.port, store(given.folder), secret_key(given.folder))
    with outside.serving(server):
        outside.wait_for_stop()


if __name__ == "__main__":
    main()
