"""The sidebar: what auditors read comes first, in one group, each list once."""

import re

import pytest
from django.contrib import admin
from django.urls import reverse

from proposals.admin.sidebar import ORDER, Kept
from tests.proposals.admin.pages import signed_in, text_of

pytestmark = pytest.mark.django_db
IN_ORDER = [
    *("Ledger entries", "Proposals", "Decisions", "Check results", "Commit attempts"),
    *("Undo actions", "Budget events", "Policy versions", "Access log", "Export jobs"),
]


def groups(page):
    """The names of each group of the sidebar, in order."""
    found = re.findall(r'class="section"[^>]*>([^<]+)</a>(.*?)</table>', page, re.S)
    return {
        name: re.findall(r"<th scope=\"row\".*?>\s*(?:<a[^>]*>)?([^<]+)<", rest, re.S)
        for name, rest in found
    }


@pytest.mark.parametrize("name", ["admin:index", "admin:ledger_ledgerentry_changelist"])
def test_auditors_find_all_of_theirs_in_one_group_and_this_order(name):
    amir = signed_in("amir", ["auditors"])
    found = groups(text_of(amir.get(reverse(name))))
    assert next(iter(found)) == "Audit"
    assert [words.strip() for words in found["Audit"]] == IN_ORDER


def test_every_list_is_there_once(rf):
    amir = signed_in("amir", ["auditors"])
    page = text_of(amir.get(reverse("admin:index")))
    main = page[page.index('id="content-main"') :]
    request = rf.get("/")
    request.user = amir.person
    expected = {
        model["admin_url"]
        for app in admin.AdminSite.get_app_list(admin.site, request)
        for model in app["models"]
    }
    linked = re.findall(r'<th scope="row"[^>]*>\s*<a href="([^"?]+)"', main)
    assert sorted(linked) == sorted(expected)


def test_each_line_leads_to_a_page_that_opens():
    amir = signed_in("amir", ["auditors"])
    page = text_of(amir.get(reverse("admin:index")))
    main = page[page.index('id="content-main"') :]
    for address in re.findall(r'<th scope="row"[^>]*>\s*<a href="([^"]+)"', main):
        assert amir.get(address.replace("&amp;", "&")).status_code == 200, address


def test_whoever_may_not_read_the_ledger_has_no_line_that_leads_there():
    rita = signed_in("rita", ["reviewers"])
    found = groups(text_of(rita.get(reverse("admin:index"))))
    listed = {words.strip() for words in found.get("Audit", [])}
    assert "Proposals" in listed
    assert not listed & {"Ledger entries", "Undo actions", "Access log", "Export jobs"}


def test_every_model_of_the_order_has_a_list():
    registered = {model._meta.label for model in admin.site._registry}
    assert {one.model for one in ORDER if isinstance(one, Kept)} <= registered
