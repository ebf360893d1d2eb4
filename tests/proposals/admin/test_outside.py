"""What was tried at other systems can be read by those who may, and is changed by nobody."""

import re

import pytest

from proposals.models import Attestation, Breaker, Exchange, Execution
from tests.proposals.admin.pages import HIDDEN, SAID, address, pages, signed_in, text_of

pytestmark = pytest.mark.django_db
MODELS = (Exchange, Breaker, Attestation)


@pytest.mark.parametrize("who", ["ada", "amir"])
def test_it_has_four_doors_shut(who, outside, request):
    browser = request.getfixturevalue(who)
    for model in MODELS:
        for page in pages(model):
            text_of(browser.get(page))
        pk = model.objects.get().pk
        for page in ("add", "delete", "change"):
            args = [] if page == "add" else [pk]
            assert browser.post(address(model, page, *args), {"post": "yes"}).status_code == 403
        bulk = {"action": "delete_selected", "_selected_action": [pk], "post": "yes"}
        assert browser.post(address(model, "changelist"), bulk).status_code == 403
        assert model.objects.count() == 1


def test_it_is_shut_to_those_without_the_right(outside):
    stranger = signed_in("nora", [])
    for model in MODELS:
        assert stranger.get(address(model, "changelist"), follow=True).status_code == 403


def test_strangers_text_is_on_the_page_of_one_row_and_never_raw(amir, outside):
    for model in (Exchange, Attestation):
        shown, single = (text_of(amir.get(page)) for page in pages(model)[:2])
        assert SAID not in shown
        assert HIDDEN not in single
        assert "[U+202E RLO]" in single
        heads = "".join(re.findall(r"<(?:title|h1|h2)\b.*?</(?:title|h1|h2)>", single, re.S))
        assert SAID not in heads


def test_an_execution_leads_to_what_was_tried_and_found(amir, outside):
    html = text_of(amir.get(address(Execution, "change", Execution.objects.get().pk)))
    assert address(Exchange, "change", Exchange.objects.get().pk) in html
    assert address(Attestation, "change", Attestation.objects.get().pk) in html


def test_each_is_found_by_what_it_belongs_to(amir, outside):
    for model, query in (
        (Exchange, f"proposal:{outside.pk}"),
        (Attestation, "person:olga"),
        (Breaker, "https://depot.example"),
    ):
        html = text_of(amir.get(address(model, "changelist"), {"q": query}))
        assert address(model, "change", model.objects.get().pk) in html, model
