"""Actions over HTTP in a real Chromium: from a secret to a refund and its undo, by pages alone."""

import json
import os
import re
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.urls import reverse

from proposals import defaults, services
from proposals.http_actions import ready
from proposals.models import HttpAction, NamedSecret, Proposal
from proposals.targets import wiring
from tests.factories import make_agent, make_person, work
from tests.proposals.http_actions.conftest import SECRET, pricing, refunding, service  # noqa: F401
from tests.proposals.http_actions.service import Service
from tests.test_browser import (  # noqa: F401 (fixtures)
    CHROMIUM,
    LOOKS,
    PICTURES,
    WIDE_AND_LIGHT,
    chromium,
    desk,
    settled,
    unfold,
)

pytestmark = [
    pytest.mark.browser,
    pytest.mark.once,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(CHROMIUM is None, reason="No Chromium is installed."),
]
UNDO = """sentence: "Cancel refund {reference} of charge {charge}"
request:
  method: POST
  path: /v1/refunds/{reference}/cancel
answers:
  applied: [200]
  not_applied: [400, 404]
reference: /id
idempotency:
  header: Idempotency-Key
  hours: 24
"""


def polly() -> Any:
    return make_person("polly", groups=["policy-administrators"])


def inspect(page, look, name: str) -> None:
    unfold(page)
    found = Axe().run(page)
    assert found.violations_count == 0, f"{name}: {found.generate_report()}"
    across = page.evaluate("document.documentElement.scrollWidth")
    assert across <= look["width"], f"{name} scrolls sideways: {across}"
    assert page.locator("h1").count() == 1, name
    if os.environ.get("SCREENSHOTS") and look == WIDE_AND_LIGHT:
        picture = PICTURES / "pages" / f"{name.replace(' ', '-')}.png"
        page.screenshot(path=picture, full_page=True)


@pytest.mark.parametrize("look", LOOKS)
def test_every_page_is_accessible_and_fits_its_width(desk, look, service: Service):  # noqa: F811
    paula = make_person("paula", groups=defaults.GROUPS)
    page = desk.page(paula, reduced_motion="reduce", **look)
    page.goto(reverse("actions"))
    inspect(page, look, "actions at first")
    services.save_http_action(definition=refunding(service), person=paula)
    services.keep_secret(name="stripe", origin=service.origin, value=SECRET, person=paula)
    services.save_http_action(definition=refunding(service, tier="medium"), person=paula)
    odd = {**pricing(service), "authentication": {"secret": "shop"}}
    services.save_http_action(definition=odd, person=paula)
    services.switch_http_action(name="items.set_price", is_enabled=False, person=paula)
    make_agent("refund-bot", grants=["payments.*"])
    named = ["payments.refund"]
    for name, address in {
        "actions": reverse("actions"),
        "define an action": reverse("http-action-new"),
        "define from a ready-made one": reverse("http-action-new") + "?ready=stripe-refund",
        "define as YAML": reverse("http-action-new") + "?ready=stripe-refund&as=yaml",
        "an action": reverse("http-action", args=named),
        "change an action": reverse("http-action-change", args=named),
        "try an action": reverse("http-action-try", args=named),
        "import actions": reverse("http-actions-import"),
        "secrets": reverse("secrets"),
        "keep a secret": reverse("secret-keep"),
        "replace a secret": reverse("secret-replace", args=["stripe"]),
        "forget a secret": reverse("secret-forget", args=["stripe"]),
    }.items():
        page.goto(address)
        inspect(page, look, name)
    page.goto(reverse("http-action-try", args=named))
    page.get_by_label("Charge", exact=True).fill("ch_abcd")
    page.get_by_label("Amount", exact=True).fill("12.00")
    page.get_by_role("button", name="Try it").click()
    page.get_by_text("Nothing was sent.").wait_for()
    inspect(page, look, "tried an action")
    page.goto(reverse("http-action-change", args=named))
    page.get_by_label("Tier").select_option("high")
    page.locator("button.submit").click()
    page.get_by_role("heading", name="What this means").wait_for()
    inspect(page, look, "what an action means")
    page.get_by_label("Path", exact=True).fill("v1/refunds")
    page.get_by_role("button", name="Show what this means").last.click()
    page.get_by_role("alert").wait_for()
    inspect(page, look, "an action refused")
    page.goto(reverse("http-action-new") + "?ready=generic-json&as=yaml")
    page.get_by_label("Definition").fill("name: x\nrequest:\n  path: nowhere\n")
    page.locator("button.submit").click()
    page.get_by_text("Line 3").wait_for()
    inspect(page, look, "YAML refused")


def test_a_refund_goes_from_a_secret_to_its_undo_by_the_pages_alone(desk, service: Service):  # noqa: F811
    """Without script: what people do here is plain forms. The agent speaks REST."""
    polly()
    page = desk.page(polly(), java_script_enabled=False)
    page.goto(reverse("queue"))
    page.get_by_role("link", name="Actions", exact=True).click()
    page.get_by_role("link", name="Secrets").click()
    page.get_by_role("link", name="Keep a secret").click()
    page.get_by_label("Name", exact=True).fill("stripe")
    page.get_by_label("Host").fill(service.origin)
    page.get_by_label("Value").fill(SECRET)
    page.get_by_role("button", name="Keep it").click()
    page.get_by_text("Kept: stripe.").wait_for()

    page.get_by_role("link", name="Actions", exact=True).first.click()
    page.get_by_role("link", name=re.compile("Begin with it.*Stripe")).click()
    page.get_by_label("Host").fill(service.origin)
    page.locator("summary", has_text="How it is taken back").click()
    page.get_by_label("Undo", exact=True).fill(UNDO)
    page.get_by_role("button", name="Show what this means").last.click()
    page.get_by_text("Keyed: the provider honours a key for 24 h, and can be asked").wait_for()
    page.get_by_role("button", name="Try it first").click()
    page.get_by_label("Charge", exact=True).fill("ch_abcd")
    page.get_by_label("Amount", exact=True).fill("12.00")
    page.get_by_role("button", name="Try it").click()
    page.get_by_text("Nothing was sent.").wait_for()
    assert "Refund 12.00 EUR of charge ch_abcd" in page.locator("#found-title").inner_text()
    assert "Bearer [hidden]" in page.locator("main").inner_text()
    assert service.writes == []
    page.get_by_role("button", name="Back to the definition").click()
    page.get_by_role("button", name="Keep this action").click()
    page.get_by_text("Defined: payments.refund.").wait_for()

    answer = asked_by_an_agent(page, desk, service)
    decide(desk, answer["id"], "saul")
    decide(desk, answer["id"], "sara")
    work()
    assert service.effects == ["refund re_1"]
    assert service.charges["ch_abcd"]["amount_refunded"] == 1200

    olga = desk.page(make_person("olga", groups=["operators"]), java_script_enabled=False)
    olga.goto(reverse("recent"))
    olga.get_by_role("link", name="Refund 12.00 EUR of charge ch_abcd", exact=True).click()
    olga.get_by_role("link", name="See what undoing would do now").click()
    olga.get_by_label("Reason").fill("Refunded by mistake.")
    olga.get_by_role("button", name="Propose undo").click()
    olga.get_by_text("This is an undo.").wait_for()
    work()
    undo = Proposal.objects.get(compensates=answer["id"])
    for name in ("saul", "sara"):
        if Proposal.objects.get(pk=undo.pk).status == "pending":
            decide(desk, undo.pk, name)
    work()
    assert service.effects == ["refund re_1", "cancel re_1"]
    assert service.charges["ch_abcd"]["amount_refunded"] == 0


def asked_by_an_agent(page, desk, service: Service) -> dict[str, Any]:  # noqa: F811
    """Polly lets an agent propose it, and the agent does."""
    make_agent("refund-bot", grants=[])
    page.get_by_role("link", name="grant it on the page of an agent").click()
    page.get_by_role("link", name="refund-bot").first.click()
    page.get_by_role("link", name="propose").first.click()
    page.get_by_label("payments.refund", exact=True).check()
    page.get_by_role("button", name="Grant the chosen actions").click()
    page.get_by_text("Granted payments.refund").wait_for()
    olga = desk.page(make_person("olga", groups=["operators"]), java_script_enabled=False)
    olga.goto(page.url.replace("grants/", ""))
    olga.get_by_role("button", name="Issue a token").click()
    token = olga.locator("#new-token").inner_text()
    params = {"charge": "ch_abcd", "amount": {"amount": "12.00", "currency": "EUR"}}
    sent = {"action": "payments.refund", "params": params, "run": "returns"}
    sent["rationale"] = "The customer was charged twice."
    answer = page.request.post(
        "/api/v1/proposals",
        data=json.dumps(sent),
        headers={
            "Authorization": f"Bearer {token}",
            "Idempotency-Key": "returns-8812",
            "Content-Type": "application/json",
        },
    )
    assert answer.status == 201, answer.text()
    work()
    return answer.json()


def decide(desk, proposal_id: str, name: str) -> None:  # noqa: F811
    page = desk.page(make_person(name, groups=["senior-reviewers"]), java_script_enabled=False)
    page.goto(reverse("proposal", args=[proposal_id]))
    page.get_by_label("Approve revision 1").check()
    page.get_by_role("textbox", name="Reason").fill("The customer was charged twice, as I saw.")
    page.get_by_label("The key of the object").fill("charges/ch_abcd")
    page.get_by_role("button", name="Submit decision").click()
    page.wait_for_load_state()
    assert "Approved" in page.get_by_role("status").first.inner_text()


def test_the_form_shows_only_what_a_kind_has_and_works_by_keyboard(desk, service: Service):  # noqa: F811
    page = desk.page(polly())
    page.goto(reverse("http-action-new") + "?ready=generic-json")
    row = page.locator(".parameter").first
    assert row.get_by_label("Pattern").is_visible()
    assert not row.get_by_label("Currencies").is_visible()
    row.get_by_label("Kind").select_option("money")
    assert not row.get_by_label("Pattern").is_visible()
    assert row.get_by_label("Currencies").is_visible()
    row.get_by_label("Kind").select_option("identifier")
    page.get_by_label("Host").fill(service.origin)
    page.get_by_label("Host").press("Enter")
    page.get_by_role("heading", name="What this means").wait_for()
    assert not HttpAction.objects.exists(), "a key alone keeps nothing that was not seen"
    page.get_by_role("button", name="Keep this action").focus()
    page.keyboard.press("Enter")
    page.get_by_text("Defined: items.set_price.").wait_for()
    assert HttpAction.objects.get().definition["origin"] == service.origin
    assert not NamedSecret.objects.exists()
    wiring.forget()
    assert "generic-json" in ready.names()
