"""The demonstration's payment provider: one refund for each key, and never more than was paid."""

import base64
import http.client
import json
import re
import signal
import stat
import subprocess
import sys
import urllib.error
import urllib.request
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count
from threading import Lock
from urllib.parse import urlencode

import pytest

from proposals.demonstration import outside, provider
from proposals.demonstration.charges import KEY_SECONDS, SETTLES_SECONDS, Charge, Charges
from tests.installations import free_port
from tests.processes import ROOT, eventually

pytestmark = pytest.mark.once
SECRET = "sk_test_for_tests"
CHARGE, SPENT = "ch_000042", "ch_000043"


class Clock:
    def __init__(self) -> None:
        self.at = 1_790_000_000.0

    def __call__(self) -> float:
        return self.at


class Caller:
    """Whoever calls the provider over HTTP."""

    def __init__(self, port: int, secret: str = SECRET) -> None:
        self.port, self.secret = port, secret

    def send(self, method, path, form=None, *, key=None, **headers):
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}",
            data=urlencode(form).encode() if form is not None else None,
            method=method,
            headers={"Authorization": f"Bearer {self.secret}"}
            | ({"Idempotency-Key": key} if key else {})
            | headers,
        )
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status, answer.read().decode(), dict(answer.headers)
        except urllib.error.HTTPError as refusal:
            return refusal.code, refusal.read().decode(), dict(refusal.headers)

    def get(self, path):
        status, body, _ = self.send("GET", path)
        return status, json.loads(body)

    def refund(self, amount, *, charge=CHARGE, key=None, **more):
        form = {"charge": charge, **({} if amount is None else {"amount": amount}), **more}
        status, body, headers = self.send("POST", "/v1/refunds", form, key=key)
        return status, json.loads(body), headers

    def cancel(self, refund_id, *, key=None):
        status, body, _ = self.send("POST", f"/v1/refunds/{refund_id}/cancel", {}, key=key)
        return status, json.loads(body)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def charges(tmp_path, clock):
    made = Charges(tmp_path / "payments.sqlite3", now=clock)
    made.know(
        [
            Charge(CHARGE, "42", 12_000, "eur", clock.at),
            Charge(SPENT, "43", 500, "eur", clock.at, refunded_before=500),
        ]
    )
    return made


@pytest.fixture
def caller(charges):
    server = provider.Provider(0, charges, SECRET)
    with outside.serving(server):
        yield Caller(server.server_port)


def given_back(charges):
    with charges.reading() as db:
        return db.execute("SELECT coalesce(sum(amount), 0) FROM refunds").fetchone()[0]


class TestARefund:
    def test_is_made_in_minor_units_and_counts_against_the_charge(self, caller):
        status, refund, _ = caller.refund(4_000, **{"metadata[order]": "42"})
        assert status == 200
        assert (refund["id"], refund["charge"], refund["amount"]) == ("re_000001", CHARGE, 4_000)
        assert (refund["currency"], refund["status"]) == ("eur", "pending")
        assert refund["metadata"] == {"order": "42"}
        charge = caller.get(f"/v1/charges/{CHARGE}")[1]
        assert (charge["amount"], charge["amount_refunded"]) == (12_000, 4_000)
        assert charge["refunded"] is False

    def test_without_an_amount_gives_back_what_is_left(self, caller):
        caller.refund(4_000)
        assert caller.refund(None)[1]["amount"] == 8_000
        assert caller.get(f"/v1/charges/{CHARGE}")[1]["refunded"] is True

    @pytest.mark.parametrize(
        ("charge", "amount", "code"),
        [
            (CHARGE, 12_001, "amount_too_large"),
            (SPENT, 1, "charge_already_refunded"),
            ("ch_999999", 1, "resource_missing"),
            (CHARGE, 0, "parameter_invalid_integer"),
            (CHARGE, "-5", "parameter_invalid_integer"),
            (CHARGE, "40.00", "parameter_invalid_integer"),
        ],
    )
    def test_of_what_cannot_be_given_back_is_refused_with_a_code(
        self, caller, charges, charge, amount, code
    ):
        status, body, _ = caller.refund(amount, charge=charge)
        assert (status, body["error"]["code"]) == (400, code)
        assert body["error"]["message"]
        assert given_back(charges) == 0

    def test_is_found_by_its_key_its_charge_and_its_metadata(self, caller):
        made = caller.refund(100, key="k1", **{"metadata[order]": "42"})[1]
        caller.refund(200, key="k2")
        for question in ("reference=k1", "metadata[order]=42", f"charge={CHARGE}&reference=k1"):
            assert caller.get(f"/v1/refunds?{question}")[1]["data"] == [made], question
        assert len(caller.get(f"/v1/refunds?charge={CHARGE}")[1]["data"]) == 2
        assert caller.get("/v1/refunds?reference=k3")[1]["data"] == []
        assert caller.get(f"/v1/refunds/{made['id']}")[1] == made

    def test_is_listed_newest_first_and_says_whether_there_are_more(self, caller):
        for amount in (1, 2, 3):
            caller.refund(amount)
        listed = caller.get("/v1/refunds?limit=2")[1]
        assert [refund["amount"] for refund in listed["data"]] == [3, 2]
        assert listed["has_more"] is True
        assert caller.get("/v1/refunds?limit=3")[1]["has_more"] is False
        assert caller.get("/v1/refunds?limit=0")[0] == 400


class TestAKey:
    def test_makes_one_refund_however_often_it_is_sent(self, caller, charges):
        first = caller.refund(4_000, key="k1")
        again = caller.refund(4_000, key="k1")
        assert again[:2] == first[:2]
        assert "Idempotent-Replayed" not in first[2]
        assert again[2]["Idempotent-Replayed"] == "true"
        assert given_back(charges) == 4_000

    def test_sent_twenty_times_at_once_makes_one_refund(self, caller, charges):
        with ThreadPoolExecutor(20) as pool:
            answers = list(pool.map(lambda _: caller.refund(500, key="k1"), range(20)))
        assert {(status, body["id"]) for status, body, _ in answers} == {(200, "re_000001")}
        assert Counter("Idempotent-Replayed" in headers for *_, headers in answers) == {
            True: 19,
            False: 1,
        }
        assert given_back(charges) == 500

    def test_of_another_request_is_refused(self, caller, charges):
        made = caller.refund(4_000, key="k1")[1]
        for status, body, *_ in (
            caller.refund(4_001, key="k1"),
            caller.cancel(made["id"], key="k1"),
        ):
            assert (status, body["error"]["type"]) == (400, "idempotency_error")
        assert given_back(charges) == 4_000

    def test_keeps_a_refusal_as_its_answer(self, caller):
        full = caller.refund(12_000)[1]
        refused = caller.refund(1, key="k1")
        caller.cancel(full["id"])
        assert caller.refund(1, key="k1")[:2] == refused[:2]
        assert caller.refund(1, key="k2")[0] == 200

    def test_is_not_used_up_by_what_is_malformed(self, caller):
        assert caller.refund("much", key="k1")[0] == 400
        assert caller.refund(1, key="k1")[0] == 200

    def test_is_kept_for_a_day(self, caller, charges, clock):
        caller.refund(100, key="k1")
        clock.at += KEY_SECONDS - 1
        assert caller.refund(100, key="k1")[1]["id"] == "re_000001"
        clock.at += 2
        assert caller.refund(100, key="k1")[1]["id"] == "re_000002"

    def test_of_255_characters_is_taken_and_a_longer_one_refused(self, caller):
        assert caller.refund(1, key="k" * 255)[0] == 200
        assert caller.refund(1, key="k" * 256)[0] == 400


class TestACancel:
    def test_takes_a_refund_back_until_it_is_settled(self, caller, charges, clock):
        made = caller.refund(12_000)[1]
        clock.at += SETTLES_SECONDS - 1
        status, body = caller.cancel(made["id"], key="c1")
        assert (status, body["status"]) == (200, "canceled")
        assert caller.cancel(made["id"], key="c1") == (status, body)
        assert caller.get(f"/v1/charges/{CHARGE}")[1]["amount_refunded"] == 0
        status, body = caller.cancel(made["id"])
        assert (status, body["error"]["code"]) == (400, "refund_canceled")
        assert caller.refund(12_000)[0] == 200

    def test_is_refused_once_the_money_has_left(self, caller, clock):
        made = caller.refund(12_000)[1]
        clock.at += SETTLES_SECONDS
        status, body = caller.cancel(made["id"])
        assert (status, body["error"]["code"]) == (400, "refund_settled")
        assert "the money has left" in body["error"]["message"]
        assert caller.get(f"/v1/refunds/{made['id']}")[1]["status"] == "succeeded"

    @pytest.mark.parametrize("refund_id", ["re_000009", "re_x", "re_", "re_99999999999999999999"])
    def test_of_an_unknown_refund_is_refused(self, caller, refund_id):
        assert caller.cancel(refund_id)[0] == 404


class TestTheDoor:
    @pytest.mark.parametrize(
        "shown", ["", "Bearer", "Bearer sk_wrong", "Basic !", f"Token {SECRET}"]
    )
    def test_opens_for_the_secret_key_alone(self, caller, charges, shown):
        for method, path in (("GET", f"/v1/charges/{CHARGE}"), ("POST", "/v1/refunds")):
            form = {"charge": CHARGE} if method == "POST" else None
            assert caller.send(method, path, form, Authorization=shown)[0] == 401
        assert given_back(charges) == 0

    def test_takes_the_key_as_a_bearer_and_as_the_user_of_basic(self, caller):
        basic = "Basic " + base64.b64encode(f"{SECRET}:".encode()).decode()
        for shown in (f"Bearer {SECRET}", basic):
            assert caller.send("GET", f"/v1/charges/{CHARGE}", Authorization=shown)[0] == 200

    def test_refuses_what_is_no_form(self, caller):
        for body, headers in (
            (b'{"charge": "x"}', {"Content-Type": "application/json"}),
            (b"charge=a&charge=b", {}),
            (b"charge", {}),
            (b"x" * (provider.MAX_BODY_BYTES + 1), {}),
        ):
            connection = http.client.HTTPConnection("127.0.0.1", caller.port, timeout=10)
            form = {"Content-Type": "application/x-www-form-urlencoded"}
            connection.request(
                "POST",
                "/v1/refunds",
                body,
                {"Authorization": f"Bearer {SECRET}", **form, **headers},
            )
            assert connection.getresponse().status in {400, 413}
            connection.close()

    def test_answers_unknown_addresses_and_other_names_of_this_machine_with_an_error(self, caller):
        assert caller.get("/v1/customers")[0] == 404
        assert caller.send("POST", "/v1/charges", {})[0] == 404
        for path in ("/", f"/v1/charges/{CHARGE}"):
            assert caller.send("GET", path, Host="evil.example")[0] == 421


class TestALostAnswer:
    def test_leaves_the_effect_and_the_key_for_the_one_who_asks_again(self, caller, charges):
        origin = f"http://127.0.0.1:{caller.port}"
        assert caller.send("POST", "/lose-next-answer", {}, Origin="http://evil.example")[0] == 404
        caller.send("POST", "/lose-next-answer", {}, Origin=origin)
        assert "will be lost" in caller.send("GET", "/")[1]
        with pytest.raises(http.client.RemoteDisconnected):
            caller.refund(700, key="k1")
        assert given_back(charges) == 700
        status, body, headers = caller.refund(700, key="k1")
        assert (status, body["amount"], headers["Idempotent-Replayed"]) == (200, 700, "true")
        assert given_back(charges) == 700


class TestThePage:
    def test_shows_what_reached_the_provider_and_nothing_that_would_run(self, caller):
        caller.refund(4_000, key="<script>k1")
        caller.refund(99_999)
        page = caller.send("GET", "/")[1]
        assert "40.00&nbsp;EUR" in page
        assert "pending; can be canceled until" in page
        assert "Refund amount (99999) is greater than what is left" in page
        assert "&lt;script&gt;k1" in page
        assert "<script" not in page
        assert SECRET not in page

    def test_finds_the_charge_of_an_order(self, caller):
        page = caller.send("GET", "/?order=43")[1]
        assert SPENT in page
        assert CHARGE not in page
        assert "There is no such charge." in caller.send("GET", "/?order=%27%3E")[1]


class TestTheSecretKey:
    def test_is_made_once_and_readable_by_its_owner_alone(self, tmp_path):
        made = provider.secret_key(tmp_path)
        assert re.fullmatch("sk_test_[0-9a-f]{32}", made)
        assert provider.secret_key(tmp_path) == made
        [path] = tmp_path.iterdir()
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


@contextmanager
def running(folder, caller):
    """The provider as a process of its own, answering."""
    where = ["--folder", str(folder), "--port", str(caller.port)]
    child = subprocess.Popen(
        [sys.executable, "-m", "proposals.demonstration.provider", *where], cwd=ROOT
    )
    try:
        eventually(lambda: attempted(lambda: caller.send("GET", "/")), what="the provider")
        yield child
    finally:
        child.terminate()
        assert child.wait(timeout=10) in {0, -signal.SIGKILL}


def attempted(call) -> bool:
    """Whether an answer came, and was a good one."""
    try:
        return call()[0] == 200
    except (OSError, http.client.HTTPException):
        return False


@pytest.mark.processes
class TestTheProcess:
    def test_killed_in_the_middle_of_work_knows_of_each_key_whether_it_was_used(self, tmp_path):
        provider.store(tmp_path).know([Charge(CHARGE, "42", 10_000, "eur", 0)])
        caller = Caller(free_port(), provider.secret_key(tmp_path))
        keys = [f"k{number}" for number in range(30)]
        good, counting = count(1), Lock()

        def refunded(key: str) -> bool:
            was_answered = attempted(lambda: caller.refund(100, key=key))
            with counting:
                if was_answered and next(good) == 5:
                    child.kill()  # by whom the fifth answer reached, while three more are under way
            return was_answered

        with running(tmp_path, caller) as child, ThreadPoolExecutor(4) as pool:
            answered = list(pool.map(refunded, keys))
        known = {key for key, was_answered in zip(keys, answered, strict=True) if was_answered}
        assert 5 <= len(known) < len(keys)
        with running(tmp_path, caller):
            for key in keys:
                status, _, headers = caller.refund(100, key=key)
                assert status == 200
                assert key not in known or headers["Idempotent-Replayed"] == "true"
            made = caller.get(f"/v1/refunds?charge={CHARGE}&limit=100")[1]["data"]
        assert sorted(refund["reference"] for refund in made) == sorted(keys)
