"""Signed posts: what they say, whom they reach, and where they refuse to go."""

import base64
import hashlib
import hmac
import json
import time

import pytest

from ledger.models import LedgerEntry
from proposals import services, vault
from proposals.exceptions import InvalidRequest, NotEligible
from proposals.models import Letter, Notice, Secret, Webhook
from proposals.notices import spreading, webhooks
from proposals.notices.webhooks import Refused
from tests import factories
from tests.factories import make_agent, make_checked, make_person, painting
from tests.post import Receiver, deliver

pytestmark = [pytest.mark.django_db, pytest.mark.once, pytest.mark.usefixtures("toybox")]
EVERYTHING = {"kinds": Notice.Kind.values, "tiers": ["low", "medium", "high"]}
SENTINEL = "zq\u202e\u200b\U000e0041agent"


def ada():
    return make_person("ada", groups=["policy-administrators"])


def make_webhook(**fields) -> Webhook:
    """A webhook of everything, as a policy administrator makes one."""
    fields = {"name": "chat", "url": "https://hooks.example/x", **EVERYTHING, **fields}
    return services.save_webhook(person=ada(), **fields).webhook


def secret_of(webhook: Webhook) -> str:
    return vault.reveal(webhook.secret_name)


def waiting(tier: str = "medium", **more):
    make_person()
    return make_checked(params=painting(tier=tier, **more.pop("params", {})), **more)


def said(receiver: Receiver) -> list[dict]:
    return [json.loads(body) for _, _, body in receiver.got]


class TestWhatIsPosted:
    def test_is_signed_as_the_published_algorithm_has_it(self, receiver):
        """Standard Webhooks v1, written out: HMAC-SHA256 of `id.timestamp.body`, in base64."""
        webhook = make_webhook(url=receiver.url)
        waiting()
        deliver()
        [(_, headers, body)] = receiver.got
        key = base64.b64decode(secret_of(webhook).removeprefix("whsec_"))
        signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
        expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
        assert headers["webhook-signature"] == f"v1,{expected}"
        assert abs(int(headers["webhook-timestamp"]) - time.time()) < 30

    def test_agrees_with_the_published_example(self):
        """From the specification's reference libraries: secret, id, time, body, signature."""
        assert (
            webhooks.signature(
                "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
                "msg_p5jXN8AQM9LWM0D4loKWxJek",
                1614265330,
                b'{"test": 2432232314}',
            )
            == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
        )

    def test_says_what_happened_in_a_text_that_chats_can_show(self, receiver):
        make_webhook(url=receiver.url)
        proposal = waiting()
        deliver()
        [body] = said(receiver)
        link = f"https://countersign.example/proposals/{proposal.pk}/"
        assert body["type"] == "notice.waits"
        assert "Waits for a decision: toys.set by agent billing-bot, medium tier" in body["text"]
        assert body["text"].endswith(link)
        assert body["data"]["url"] == link
        assert body["data"]["sentence"] == "Paint the bear blue"

    def test_is_the_text_alone_for_chats_that_refuse_other_fields(self, receiver):
        make_webhook(url=receiver.url, is_chat=True)
        waiting()
        deliver()
        assert [set(body) for body in said(receiver)] == [{"text"}]

    def test_holds_no_hidden_character_and_no_words_of_the_agent_in_its_text(self, receiver):
        make_webhook(url=receiver.url)
        make_person()
        make_checked(
            params={"toy": "bear", "colour": SENTINEL, "tier": "low", "note": SENTINEL},
            rationale=SENTINEL,
            run=SENTINEL,
            context={"model": SENTINEL},
            evidence=[{"kind": "other", "title": SENTINEL, "content": SENTINEL, "uri": SENTINEL}],
        )
        deliver()
        [(_, _, raw)] = receiver.got
        for hidden in "\u202e\u200b\U000e0041":
            assert hidden not in raw.decode()
            assert json.dumps(hidden).strip('"') not in raw.decode()
        body = json.loads(raw)
        assert "zq" not in body["text"]
        assert "[U+202E RLO]" in body["data"]["sentence"]

    def test_is_chosen_by_kind_and_tier(self, receiver):
        make_webhook(url=receiver.url, kinds=["waits"], tiers=["high"])
        make_webhook(name="other", url=receiver.url, kinds=["rejected"], tiers=["medium"])
        rejected = waiting()
        factories.review(rejected, "reject")
        waiting("high")
        deliver()
        assert sorted(body["type"] for body in said(receiver)) == [
            "notice.rejected",
            "notice.waits",
        ]

    def test_is_nothing_when_it_was_decided_meanwhile(self, receiver):
        make_webhook(url=receiver.url, kinds=["waits"])
        proposal = waiting()
        spreading.spread_all()
        factories.approve(proposal)
        deliver()
        assert not receiver.got

    def test_has_the_same_id_when_it_is_repeated_after_a_crash(self, receiver, monkeypatch):
        from ledger import clock
        from proposals.notices import sending

        make_webhook(url=receiver.url)
        waiting()
        with monkeypatch.context() as crash:
            crash.setattr(sending, "sent", lambda letter: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                deliver()
        deliver()
        assert len(receiver.got) == 1  # the lease of the dead one still holds
        Letter.objects.update(next_at=clock.now())
        deliver()
        first, second = (headers["webhook-id"] for _, headers, _ in receiver.got)
        assert first == second


class TestWhereItGoes:
    @pytest.mark.parametrize(
        "url",
        [
            "http://hooks.example/",
            "ftp://hooks.example/",
            "https://",
            "https:///x",
            "hooks.example",
            "https://user:pw@hooks.example/",
            "https://user@hooks.example/",
            "https://hooks.example/#there",
            "https://hooks.example:99999/",
            "https://hooks.example:0/",
            "https://hooks.exa\u200bmple/",
            "https://hooks.example/a b",
            "https://hooks.example\\@evil.example/",
            "https://[::1/",
            "file:///etc/passwd",
            "https://hooks.example/\r\nX-Injected: 1",
        ],
    )
    def test_an_address_that_means_something_else_is_refused_when_it_is_saved(self, url):
        with pytest.raises(InvalidRequest) as refusal:
            make_webhook(url=url)
        assert refusal.value.errors[0]["pointer"] == "/url"
        assert not Webhook.objects.exists()

    @pytest.mark.parametrize(
        "host", ["127.0.0.1", "localhost", "2130706433", "0x7f000001", "127.1", "[::1]"]
    )
    def test_a_private_host_is_not_reached_however_it_is_spelled(self, receiver, settings, host):
        settings.WEBHOOK_HOSTS = frozenset()
        with pytest.raises(Refused):
            webhooks.post(f"https://{host}:{receiver.server_address[1]}/", b"{}", {})
        assert not receiver.got

    def test_what_the_operator_can_do_about_it_is_said(self, settings):
        settings.WEBHOOK_HOSTS = frozenset()
        for url in ("http://hooks.example/", "https://127.0.0.1/"):
            with pytest.raises(Refused, match="list the host in COUNTERSIGN_WEBHOOK_HOSTS"):
                webhooks.post(url, b"{}", {})

    def test_every_port_may_be_posted_to(self):
        assert webhooks.examine("https://hooks.example:8443/").port == 8443

    @pytest.mark.parametrize("fault", ["refused", "silent"])
    def test_no_answer_is_no_success_and_says_why_without_the_address(
        self, receiver, monkeypatch, fault
    ):
        url = f"{receiver.url}?token=T0K3N"
        if fault == "refused":
            url, says = "http://127.0.0.1:9/hook?token=T0K3N", "No connection: it was refused"
        else:
            monkeypatch.setattr(webhooks, "WHOLE_SECONDS", 0.2)
            receiver.drips, says = True, "No complete answer: it took too long"
            receiver.status = 200
        with pytest.raises(Refused, match=says) as failure:
            webhooks.post(url, b"{}", {})
        assert "T0K3N" not in str(failure.value)

    def test_a_redirection_is_not_followed(self, receiver):
        receiver.status, receiver.location = 307, receiver.url + "/elsewhere"
        with pytest.raises(Refused, match="307"):
            webhooks.post(receiver.url, b"{}", {})
        assert len(receiver.got) == 1

    def test_an_answer_that_never_ends_is_cut(self, receiver, monkeypatch):
        monkeypatch.setattr(webhooks, "WHOLE_SECONDS", 0.4)
        receiver.drips, receiver.status = True, 500
        started = time.monotonic()
        with pytest.raises(Refused):
            webhooks.post(receiver.url, b"{}", {})
        assert time.monotonic() - started < 4


class TestFailure:
    def test_is_tried_again_later_and_does_not_hold_up_other_webhooks(self, receiver):
        make_webhook(name="dead", url="http://127.0.0.1:9/")
        make_webhook(name="well", url=receiver.url)
        waiting()
        waiting(params={"toy": "duck"})
        deliver()
        assert len(receiver.got) == 2
        dead = Webhook.objects.get(name="dead")
        assert dead.failures == 1  # the second letter was not even tried in that pass
        assert Letter.objects.filter(webhook=dead, state="waiting").count() == 2
        assert Webhook.objects.get(name="well").failures == 0

    def test_switches_it_off_at_last_with_a_ledger_entry_and_a_notice(self, receiver, mails):
        settings_for_mail = ada()
        services.save_notice_preference(
            person=settings_for_mail, high="at_once", medium="off", low="off"
        )
        receiver.status = 500
        webhook = make_webhook(url=receiver.url)
        Webhook.objects.update(failures=webhooks.MOST_FAILURES - 1)
        waiting()
        waiting(params={"toy": "duck"})
        deliver()
        webhook.refresh_from_db()
        assert not webhook.is_active
        assert "It answered 500" in webhook.off_reason
        entry = LedgerEntry.objects.get(kind="webhook.disabled")
        assert entry.body["webhook"] == webhook.pk
        assert not Letter.objects.filter(webhook=webhook, state="waiting").exists()
        deliver()
        assert "Webhook switched off" in mails.to("ada")[0]["Subject"]

    def test_is_forgotten_after_a_success(self, receiver):
        webhook = make_webhook(url=receiver.url)
        Webhook.objects.update(failures=5)
        waiting()
        deliver()
        webhook.refresh_from_db()
        assert webhook.failures == 0

    def test_without_the_key_of_secrets_nothing_unsigned_leaves(self, receiver):
        webhook = make_webhook(url=receiver.url)
        Secret.objects.filter(name=webhook.secret_name).update(sealed="not what we encrypted")
        waiting()
        deliver()
        assert not receiver.got
        assert "enter it again" in Letter.objects.get().last_error


class TestConfiguring:
    def test_takes_the_right(self):
        for name, groups in (("rita", ["reviewers"]), ("olga", ["operators"])):
            person = make_person(name, groups=groups, is_superuser=True)
            with pytest.raises(NotEligible):
                services.save_webhook(
                    person=person, name="x", url="https://a.example", **EVERYTHING
                )
        assert not Webhook.objects.exists()

    def test_keeps_the_secret_out_of_database_ledger_and_history(self):
        saved = services.save_webhook(
            person=ada(), name="chat", url="https://hooks.example/T0K3N", **EVERYTHING
        )
        assert saved.new_secret.startswith("whsec_")
        row = Webhook.objects.values().get()
        assert saved.new_secret not in str(row)
        assert saved.new_secret not in str(list(Secret.objects.values()))
        entry = LedgerEntry.objects.get(kind="webhook.created")
        assert entry.body["host"] == "hooks.example"
        assert "T0K3N" not in str(entry.body)
        assert "whsec" not in str(entry.body)
        assert not hasattr(saved.webhook.history.get(), "secret")

    def test_an_empty_secret_keeps_the_present_one_and_a_given_one_replaces_it(self):
        webhook = make_webhook()
        before = secret_of(webhook)
        same = {"name": "chat", "url": webhook.url, **EVERYTHING, "webhook_id": webhook.pk}
        assert services.save_webhook(person=ada(), **same).new_secret == ""
        webhook.refresh_from_db()
        assert secret_of(webhook) == before
        given = webhooks.new_secret()
        services.save_webhook(person=ada(), **same, secret=given)
        webhook.refresh_from_db()
        assert secret_of(webhook) == given

    @pytest.mark.parametrize("secret", ["short", "whsec_", "whsec_c2hvcnQ=", "whsec_not base64!"])
    def test_a_weak_secret_is_refused_by_its_field(self, secret):
        with pytest.raises(InvalidRequest) as refusal:
            make_webhook(secret=secret)
        assert refusal.value.errors[0]["pointer"] == "/secret"

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("kinds", []),
            ("kinds", ["everything"]),
            ("tiers", []),
            ("tiers", ["huge"]),
            ("name", ""),
        ],
    )
    def test_an_incomplete_one_is_refused_by_its_field(self, field, value):
        with pytest.raises(InvalidRequest) as refusal:
            make_webhook(**{field: value})
        assert refusal.value.errors[0]["pointer"] == f"/{field}"
        assert not Webhook.objects.exists()

    def test_one_that_may_no_longer_be_posted_to_can_be_switched_off(self, receiver, settings):
        webhook = make_webhook(url=receiver.url)
        settings.WEBHOOK_HOSTS = frozenset()
        services.set_webhook_active(person=ada(), webhook_id=webhook.pk, is_active=False)
        entry = LedgerEntry.objects.get(kind="webhook.switched_off")
        assert entry.body["host"] == "127.0.0.1"

    def test_a_test_says_whether_it_arrived(self, receiver):
        webhook = make_webhook(url=receiver.url)
        assert services.test_webhook(person=ada(), webhook_id=webhook.pk) == ""
        assert said(receiver)[0]["type"] == "notice.test"
        receiver.status = 403
        assert "403" in services.test_webhook(person=ada(), webhook_id=webhook.pk)


def test_an_agent_reaches_no_page_of_this(client):
    agent = make_agent()
    client.force_login(agent.user)
    assert client.get("/notifications/webhooks/").status_code in {302, 403}
