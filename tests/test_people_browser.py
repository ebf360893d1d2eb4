"""Coming in through a real Chromium: the first set-up, an invitation, a code, a passkey."""

from urllib.parse import urlsplit

import pytest
from allauth.mfa.adapter import get_adapter as get_factors
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal import auth as totp
from axe_playwright_python.sync_playwright import Axe
from django.contrib.auth import get_user_model
from django.urls import reverse

from ledger.models import LedgerEntry
from proposals import setup_code
from tests import factories, people_pages
from tests.factories import make_person
from tests.test_browser import CHROMIUM, LOOKS, chromium, desk  # noqa: F401

pytestmark = [
    pytest.mark.browser,
    pytest.mark.once,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(CHROMIUM is None, reason="No Chromium is installed."),
]


def told(*kinds: str) -> list[dict]:
    rows = LedgerEntry.objects.filter(stream="auth", kind__in=kinds).order_by("id")
    return [entry.body for entry in rows]


def test_a_visitor_with_the_code_becomes_the_administrator(desk, settings, tmp_path):  # noqa: F811
    get_user_model().objects.all().delete()
    settings.DATA_DIR = tmp_path
    code = setup_code.issue()
    page = desk.page()
    page.goto("/")
    page.wait_for_url("**/setup/")
    assert Axe().run(page).violations_count == 0
    page.get_by_label("One-time code").fill("wrong")
    page.get_by_label("Name to sign in with").fill("anna")
    page.get_by_label("Your name").fill("Anna Berg")
    page.get_by_label("Password", exact=True).fill(factories.PASSWORD)
    page.get_by_label("The same password again").fill(factories.PASSWORD)
    page.get_by_role("button", name="Become the administrator").click()
    page.get_by_text("This is not the code.").wait_for()
    assert Axe().run(page).violations_count == 0
    page.get_by_label("One-time code").fill(code)
    page.get_by_label("Password", exact=True).fill(factories.PASSWORD)
    page.get_by_label("The same password again").fill(factories.PASSWORD)
    page.get_by_role("button", name="Become the administrator").click()
    page.wait_for_url("**/people/")
    assert "You are the administrator" in page.get_by_role("status").first.inner_text()
    assert page.goto("/setup/").status == 404


class TestInABrowser:
    def test_an_authenticator_app_is_set_up_and_signs_in(self, desk):  # noqa: F811
        person = make_person()
        page = desk.page(person)
        page.goto(reverse("account"))
        page.get_by_role("link", name="Set up an authenticator app").click()
        for _ in range(2):  # a code may end while it is being typed
            type_code(page, page.locator(".once").inner_text(), "Turn it on")
            if "recovery-codes" in page.url:
                break
        page.get_by_role("heading", name="Recovery codes").wait_for()
        assert page.locator(".codes li").count() == 10
        secret = get_factors().decrypt(Authenticator.objects.get(type="totp").data["secret"])

        page.get_by_role("button", name="Sign out").click()
        page.get_by_label("Name").fill("rita")
        page.get_by_label("Password").fill(factories.PASSWORD)
        page.get_by_role("button", name="Sign in", exact=True).click()
        page.get_by_role("heading", name="Second step").wait_for()
        for _ in range(2):
            type_code(page, secret, "Sign in")
            if "sign-in" not in page.url:
                break
        page.get_by_role("link", name="Your account").wait_for()
        assert told("user.signed_in")[-1] == {"how": "password+totp"}

    def test_a_passkey_signs_in_alone_and_again(self, desk):  # noqa: F811
        make_person("saul", groups=["senior-reviewers"])
        page = desk.page()
        tools = page.context.new_cdp_session(page)
        tools.send("WebAuthn.enable")
        options = {
            "protocol": "ctap2",
            "transport": "internal",
            "hasResidentKey": True,
            "hasUserVerification": True,
            "isUserVerified": True,
            "automaticPresenceSimulation": True,
        }
        tools.send("WebAuthn.addVirtualAuthenticator", {"options": options})
        page.goto(reverse("sign-in"))
        page.get_by_label("Name").fill("saul")
        page.get_by_label("Password").fill(factories.PASSWORD)
        page.get_by_role("button", name="Sign in", exact=True).click()
        page.get_by_role("link", name="Your account").click()
        page.get_by_role("link", name="Add a passkey").click()
        page.get_by_role("button", name="Add a passkey").click()
        page.get_by_role("heading", name="Recovery codes").wait_for()

        page.get_by_role("button", name="Sign out").click()
        page.get_by_role("button", name="Sign in with a passkey").click()
        page.get_by_role("link", name="Your account").wait_for()
        assert told("user.signed_in")[-1] == {"how": "passkey"}

        page.goto(reverse("mfa_reauthenticate_webauthn") + f"?next={reverse('recent')}")
        page.get_by_role("button", name="Use a passkey").click()
        page.wait_for_url(lambda address: urlsplit(address).path == reverse("recent"))
        assert told("user.signed_in_again")[-1] == {"how": "passkey"}


def type_code(page, secret: str, button: str) -> None:
    counter = next(iter(totp.yield_hotp_counters_from_time()))
    page.locator("#id_code").fill(totp.format_hotp_value(totp.hotp_value(secret, counter)))
    page.get_by_role("button", name=button, exact=True).click()
    page.wait_for_load_state("networkidle")


def test_somebody_is_invited_and_joins(desk):  # noqa: F811
    page = desk.page(make_person("paula", groups=["policy-administrators"]))
    page.goto(reverse("people"))
    page.get_by_label("E-mail address").fill("nina@example.com")
    page.get_by_label("reviewers decide at low").check()
    page.get_by_role("button", name="Invite").click()
    page.get_by_text("nina@example.com is invited.").wait_for()
    assert Axe().run(page).violations_count == 0
    link = page.locator(".once").inner_text()

    guest = desk.page(java_script_enabled=False)
    guest.goto(link)
    guest.get_by_label("Name to sign in with").fill("nina")
    guest.get_by_label("Your name").fill("Nina Sand")
    guest.get_by_label("Password", exact=True).fill(factories.PASSWORD)
    guest.get_by_label("The same password again").fill(factories.PASSWORD)
    guest.get_by_role("button", name="Join").click()
    guest.get_by_role("heading", name="Your account").wait_for()
    assert "Welcome" in guest.get_by_role("status").inner_text()
    guest.get_by_role("link", name="Queue").click()
    guest.get_by_role("link", name="Waiting on me").wait_for()
    assert guest.goto(link).status == 404


@pytest.mark.parametrize("look", LOOKS)
def test_every_page_is_accessible_and_fits_its_width(desk, look, settings):  # noqa: F811
    settings.MAIL_IS_ON = True
    paula = people_pages.paula()
    page = desk.page(paula, reduced_motion="reduce", **look)
    pages = {"authenticator app": reverse("mfa_activate_totp"), **people_pages.own_pages(paula)}
    visit(page, look, pages)
    visit(page, look, people_pages.more_own_pages(paula))
    page.context.clear_cookies()
    visit(page, look, people_pages.entrances())
    visit(page, look, people_pages.more_entrances())
    page.goto(reverse("sign-in"))
    page.get_by_label("Name").fill("paula")
    page.get_by_label("Password").fill(factories.PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.wait_for_url(f"**{reverse('mfa_authenticate')}")
    inspect("second step", page, look)
    settings.MAIL_IS_ON = False
    visit(page, look, {"without mail": reverse("account_reset_password")})


def visit(page, look, pages: dict[str, str]) -> None:
    for name, address in pages.items():
        page.goto(address)
        inspect(name, page, look)


def inspect(name: str, page, look) -> None:
    found = Axe().run(page)
    assert found.violations_count == 0, f"{name}: {found.generate_report()}"
    across = page.evaluate("document.documentElement.scrollWidth")
    assert across <= look["width"], f"{name} scrolls sideways: {across}"
    assert page.locator("h1").count() == 1, name
