"""Signing in: by password, second factor or passkey; again for what is dear; never for agents."""

import re
from datetime import timedelta

import pytest
import time_machine
from allauth.account.adapter import get_adapter
from allauth.mfa.adapter import get_adapter as get_factors
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal import auth as totp
from django.contrib.auth import get_user_model
from django.test import Client, RequestFactory
from django.urls import NoReverseMatch, reverse

from ledger import clock
from ledger.models import LedgerEntry
from proposals.authentication import PeopleOnly
from proposals.console.adapters import passkeys_work
from proposals.exceptions import SignInTooOld
from proposals.models import Review
from tests import factories
from tests.factories import fresh, make_checked, make_person, painting

SECRET = "JBSWY3DPEHPK3PXP"
NEVER_REACHED = (
    "/accounts/",
    "/accounts/login/",
    "/accounts/signup/",
    "/accounts/email/",
    "/account/email/",
    "/account/signup/",
    "/account/inactive/",
    "/account/confirm-email/",
    "/sign-in/signup/",
    "/sign-in/inactive/",
    "/sign-in/code/confirm/",
    "/sign-in/new-password/done/",
    "/sign-up/",
    "/signup/",
    "/signup/passkey/",
    "/admin/mfa/authenticator/",
    "/admin/account/emailaddress/",
)
UNROUTED = (
    "account_signup",
    "account_signup_by_passkey",
    "account_email",
    "account_inactive",
    "account_email_verification_sent",
    "account_request_login_code",
    "account_confirm_login_code",
    "mfa_signup_webauthn",
    "mfa_trust",
)
pytestmark = pytest.mark.once


def told(*kinds: str) -> list[dict]:
    rows = LedgerEntry.objects.filter(stream="auth", kind__in=kinds).order_by("id")
    return [entry.body for entry in rows]


def send(browser: Client, name: str = "rita", password: str = factories.PASSWORD, **more: str):
    return browser.post(reverse("sign-in"), {"username": name, "password": password, **more})


def is_in(browser: Client) -> bool:
    return "_auth_user_id" in browser.session


def signed_in(person) -> Client:
    browser = Client()
    browser.force_login(person)
    return browser


def age(browser: Client, seconds: int) -> None:
    """Let the last sign-in of this browser be so long ago."""
    session = browser.session
    session["authenticated_at"] = (clock.now() - timedelta(seconds=seconds)).isoformat()
    session.save()


def frozen() -> time_machine.travel:
    """Time stands still, so that no code ends while a test uses it."""
    return time_machine.travel(clock.now(), tick=False)


def code(back: int = 0) -> str:
    """What the app shows now, or so many periods ago."""
    counter = next(iter(totp.yield_hotp_counters_from_time())) - back
    return totp.format_hotp_value(totp.hotp_value(SECRET, counter))


def with_totp(name: str = "rita"):
    person = make_person(name)
    totp.TOTP.activate(person, SECRET)
    RecoveryCodes.activate(person)
    return person


@pytest.mark.django_db
class TestTheDoors:
    def test_reach_nothing_that_is_not_needed(self):
        root = make_person("root", groups=["policy-administrators"], is_superuser=True)
        for browser in (Client(), signed_in(root)):
            for address in NEVER_REACHED:
                if address.startswith("/admin/") and not is_in(browser):
                    continue
                root.is_staff = True
                root.save()
                assert browser.get(address).status_code == 404, address
        for name in UNROUTED:
            with pytest.raises(NoReverseMatch):
                reverse(name)

    def test_are_closed_to_whoever_would_sign_up(self):
        assert get_adapter().is_open_for_signup(RequestFactory().get("/")) is False

    def test_of_the_admin_lead_to_the_page_of_ones_account_for_a_password(self):
        staff = make_person("amir", groups=["auditors"], is_staff=True)
        answer = signed_in(staff).get(reverse("admin:password_change"))
        assert answer["Location"] == reverse("account_change_password")


@pytest.mark.django_db
class TestAPassword:
    def test_signs_in_and_the_ledger_tells_how(self):
        make_person()
        browser = Client()
        assert send(browser, next=reverse("recent"))["Location"] == reverse("recent")
        assert is_in(browser)
        assert told("user.signed_in") == [{"how": "password"}]
        assert told("user.signed_in_again") == []

    def test_belongs_to_the_name_as_it_is_written_and_else_to_the_only_one_like_it(self):
        make_person("rita")
        browser = Client()
        send(browser, "Rita")
        assert is_in(browser)
        other = make_person("Rita", email="other@example.com")
        for name, person in (("Rita", other), ("rita", make_person("rita"))):
            browser = Client()
            send(browser, name)
            assert browser.session["_auth_user_id"] == str(person.pk)

    def test_leads_nowhere_else(self):
        make_person()
        answer = send(Client(), next="https://elsewhere.example/")
        assert answer["Location"] == reverse("queue")

    def test_of_the_deactivated_gets_the_answer_of_a_wrong_one(self):
        person, _ = make_person(), make_person("ravi")
        wrong = send(Client(), password="no").content.decode()
        person.is_active = False
        person.save()
        browser = Client()
        right = send(browser)
        assert not is_in(browser)
        mask = re.compile(r'value="[^"]*"')  # the token against forgery differs each time
        assert mask.sub("", right.content.decode()) == mask.sub("", wrong)

    def test_is_tried_five_times_and_then_the_right_one_waits_too(self):
        make_person()
        browser = Client()
        for _ in range(5):
            assert "correct username" in send(browser, password="no").content.decode()
        for _ in range(3):
            assert "Too many failed attempts" in send(browser).content.decode()
        assert not is_in(browser)
        assert told("user.locked_out") == [{"username": "rita"}]
        assert len(told("user.sign_in_failed")) == 5
        with time_machine.travel(clock.now() + timedelta(seconds=301)):
            send(browser)
        assert is_in(browser)

    def test_changed_ends_other_sessions_and_is_told(self):
        person = make_person()
        here, there = signed_in(person), signed_in(person)
        new = "entirely new words 4711"
        form = {"oldpassword": factories.PASSWORD, "password1": new, "password2": new}
        wrong = here.post(reverse("account_change_password"), form | {"oldpassword": "no"})
        assert "not your password" in wrong.content.decode()
        assert here.post(reverse("account_change_password"), form)["Location"] == reverse("account")
        assert here.get(reverse("queue")).status_code == 200
        assert there.get(reverse("queue")).status_code == 302
        assert told("user.password_changed") == [{}]
        person.refresh_from_db()
        assert person.check_password(new)


@pytest.mark.django_db
class TestAnAgentsAccount:
    def account(self):
        """One that somebody made active and gave a password and groups, as nobody should."""
        account = factories.make_agent().user
        account.is_active = True
        account.set_password(factories.PASSWORD)
        account.save()
        account.groups.set(make_person().groups.all())
        return account

    def test_never_signs_in_by_password(self):
        account, browser = self.account(), Client()
        send(browser, account.username)
        assert not is_in(browser)
        assert not PeopleOnly().user_can_authenticate(account)

    def test_never_has_a_session_that_opens_anything(self):
        browser = signed_in(self.account())
        for name in ("queue", "account", "people"):
            assert browser.get(reverse(name))["Location"].startswith(reverse("sign-in")), name

    def test_is_turned_away_after_every_other_way_in(self):
        """A passkey asks the adapter alone."""
        account, request = self.account(), RequestFactory().get("/")
        request.session, request._messages = {}, type("No", (), {"add": lambda *said: None})()
        facts = {"email_verification": "optional", "signal_kwargs": None, "email": None}
        answer = get_adapter().pre_login(request, account, signup=False, redirect_url=None, **facts)
        assert answer["Location"] == reverse("sign-in")


@pytest.mark.django_db
class TestASecondFactor:
    def test_is_asked_for_after_the_password_and_told(self):
        with_totp()
        browser = Client()
        with frozen():
            assert send(browser)["Location"] == reverse("mfa_authenticate")
            assert not is_in(browser)
            assert "authenticated_at" not in browser.session
            assert browser.get(reverse("queue")).status_code == 302
            step = reverse("mfa_authenticate")
            wrong = browser.post(step, {"code": "000000"})
            assert "That code is not right" in wrong.content.decode()
            assert told("user.sign_in_failed") == [{"username": "rita", "how": "totp"}]
            assert not is_in(browser)
            browser.post(step, {"code": code()})
        assert is_in(browser)
        assert told("user.signed_in") == [{"how": "password+totp"}]

    def test_works_once_and_only_in_its_time(self):
        with_totp()
        with frozen():
            for stale in (code(1), code(2)):
                late = Client()
                send(late)
                late.post(reverse("mfa_authenticate"), {"code": stale})
                assert not is_in(late)
            first, second = Client(), Client()
            for browser in (first, second):
                send(browser)
                browser.post(reverse("mfa_authenticate"), {"code": code()})
        assert is_in(first)
        assert not is_in(second)

    def test_is_no_way_in_without_the_password(self):
        with_totp()
        browser = Client()
        with frozen():
            answer = browser.post(reverse("mfa_authenticate"), {"code": code()})
        assert answer["Location"] == reverse("sign-in")
        assert not is_in(browser)

    def test_is_replaced_by_a_recovery_code_once(self):
        person = with_totp()
        [spare, *_] = (
            Authenticator.objects.get(user=person, type="recovery_codes").wrap().get_unused_codes()
        )
        first, second = Client(), Client()
        for browser in (first, second):
            send(browser)
            browser.post(reverse("mfa_authenticate"), {"code": spare})
        assert is_in(first)
        assert not is_in(second)
        assert told("user.signed_in") == [{"how": "password+recovery code"}]

    def test_is_tried_five_times(self):
        with_totp()
        browser = Client()
        with frozen():
            send(browser)
            for _ in range(5):
                browser.post(reverse("mfa_authenticate"), {"code": "000000"})
            answer = browser.post(reverse("mfa_authenticate"), {"code": code()})
        assert "Too many failed attempts" in answer.content.decode()
        assert not is_in(browser)
        assert told("user.locked_out") == [{"username": "rita"}]

    def test_is_stored_unreadably_and_useless_under_another_key(self, settings):
        person = with_totp()
        held = Authenticator.objects.get(user=person, type="totp")
        assert SECRET not in str(held.data)
        assert get_factors().decrypt(held.data["secret"]) == SECRET
        settings.SECRET_KEY = "another secret key, as long as it has to be"
        assert get_factors().decrypt(held.data["secret"]) != SECRET
        with frozen():
            assert not held.wrap().validate_code(code())

    def test_set_up_and_removed_is_told_with_the_change(self):
        browser = signed_in(make_person())
        with frozen():
            browser.force_login(make_person())
            page = browser.get(reverse("mfa_activate_totp"))
            secret = page.context["form"].secret
            counter = next(iter(totp.yield_hotp_counters_from_time()))
            right = totp.format_hotp_value(totp.hotp_value(secret, counter))
            assert secret in page.content.decode()
            answer = browser.post(reverse("mfa_activate_totp"), {"code": right})
            assert answer["Location"] == reverse("mfa_view_recovery_codes")
            assert told("factor.added") == [{"factor": "totp"}, {"factor": "recovery code"}]
            browser.post(reverse("mfa_deactivate_totp"))
        assert not Authenticator.objects.exists()
        assert {body["factor"] for body in told("factor.removed")} == {"totp", "recovery code"}

    def test_is_shown_and_changed_only_after_a_recent_sign_in(self):
        person = with_totp()
        browser = signed_in(person)
        addresses = ("mfa_view_recovery_codes", "mfa_deactivate_totp", "mfa_add_webauthn")
        assert browser.get(reverse(addresses[0])).status_code == 200
        age(browser, 601)
        for name in addresses:
            answer = browser.get(reverse(name))
            assert answer["Location"].startswith(reverse("account_reauthenticate")), name
        assert browser.post(reverse("mfa_deactivate_totp")).status_code == 302
        assert Authenticator.objects.filter(type="totp").exists()


def high():
    return make_checked(params=painting(tier="high"))


def senior(name: str = "saul"):
    return make_person(name, groups=["senior-reviewers"])


def verdict(proposal, decision: str = "approve") -> dict[str, str]:
    return {
        "decision": decision,
        "digest": fresh(proposal).current_check.digest,
        "reason": "Asked for in writing, twice.",
        "fact": "bear",
        "list": "tab=open",
    }


@pytest.mark.django_db
@pytest.mark.usefixtures("toybox")
class TestSigningInAgain:
    @pytest.mark.parametrize("seconds", [None, 601, 86_400])
    def test_is_what_an_approval_at_high_tier_takes_whatever_the_door(self, seconds):
        proposal = high()
        at = None if seconds is None else clock.now() - timedelta(seconds=seconds)
        with pytest.raises(SignInTooOld):
            factories.approve(proposal, reviewer=senior(), fact="bear", authenticated_at=at)
        assert not Review.objects.exists()
        recent = clock.now() - timedelta(seconds=590)
        factories.approve(proposal, reviewer=senior(), fact="bear", authenticated_at=recent)
        assert Review.objects.count() == 1

    def test_is_not_asked_for_to_stop_something_or_at_lower_tiers(self):
        factories.review(high(), "reject", reviewer=senior(), authenticated_at=None)
        medium = make_checked(params=painting(tier="medium"))
        factories.approve(medium, authenticated_at=None)
        assert Review.objects.count() == 2

    def test_is_asked_for_last_so_that_nobody_is_refused_after_it(self):
        proposal, browser = high(), signed_in(senior())
        age(browser, 601)
        wrong = verdict(proposal) | {"fact": "duck"}
        assert browser.post(reverse("decide", args=[proposal.pk]), wrong).status_code == 422

    @pytest.mark.parametrize("headers", [{}, {"HX-Request": "true"}])
    def test_keeps_the_reason_and_leads_back(self, headers):
        proposal, saul = high(), senior()
        browser = signed_in(saul)
        age(browser, 601)
        page = reverse("proposal", args=[proposal.pk])
        assert "You signed in more than ten minutes ago" in browser.get(page).content.decode()
        decide = reverse("decide", args=[proposal.pk])
        answer = browser.post(decide, verdict(proposal), headers=headers)
        again = answer.get("HX-Redirect") or answer["Location"]
        assert again.startswith(reverse("account_reauthenticate"))
        assert not Review.objects.exists()
        shown = browser.get(again).content.decode()
        assert "Nothing was recorded yet" in shown

        form = {"password": "no", "next": f"{page}?tab=open"}
        assert "not your password" in browser.post(again, form).content.decode()
        assert browser.post(decide, verdict(proposal)).status_code == 302
        assert not Review.objects.exists()
        answer = browser.post(again, form | {"password": factories.PASSWORD})
        assert answer["Location"] == f"{page}?tab=open"
        back = browser.get(answer["Location"]).content.decode()
        assert "Asked for in writing, twice." in back
        assert "You signed in more than ten minutes ago" not in back
        assert told("user.signed_in_again") == [{"how": "password"}]
        browser.post(decide, verdict(proposal))
        assert Review.objects.count() == 1

    def test_works_with_a_code_and_not_with_half_of_a_sign_in(self):
        proposal, saul = high(), senior()
        totp.TOTP.activate(saul, SECRET)
        browser = signed_in(saul)
        age(browser, 601)
        with frozen():
            browser.post(reverse("mfa_reauthenticate"), {"code": "000000"})
            browser.post(reverse("decide", args=[proposal.pk]), verdict(proposal))
            assert not Review.objects.exists()
            browser.post(reverse("mfa_reauthenticate"), {"code": code()})
            browser.post(reverse("decide", args=[proposal.pk]), verdict(proposal))
        assert Review.objects.count() == 1
        assert told("user.signed_in_again") == [{"how": "totp"}]

    def test_is_asked_of_those_who_manage_people_and_their_form_is_sent_afterwards(self):
        paula = make_person("paula", groups=["policy-administrators"])
        rita, browser = make_person("rita"), signed_in(paula)
        age(browser, 601)
        page = reverse("deactivate", args=[rita.pk])
        answer = browser.post(page)
        assert answer["Location"].startswith(reverse("account_reauthenticate"))
        assert get_user_model().objects.get(pk=rita.pk).is_active
        form = {"password": factories.PASSWORD, "next": page}
        browser.post(reverse("account_reauthenticate"), form)
        assert not get_user_model().objects.get(pk=rita.pk).is_active


@pytest.mark.parametrize(
    ("host", "secure", "works"),
    [
        ("localhost:8000", False, True),
        ("127.0.0.1:8000", False, False),
        ("127.0.0.1", True, False),
        ("[::1]:8000", False, False),
        ("countersign.example", True, True),
        ("countersign.example", False, False),
    ],
)
def test_passkeys_are_offered_where_browsers_take_them(settings, host, secure, works):
    settings.ALLOWED_HOSTS = ["*"]
    assert passkeys_work(RequestFactory().get("/", headers={"host": host}, secure=secure)) is works
