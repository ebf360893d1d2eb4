"""Accounts, groups and signing in: Django's own pages, and a ledger entry for each change."""

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, Permission
from django.test import Client
from django.urls import reverse

from ledger.models import LedgerEntry
from tests import factories
from tests.proposals.admin.pages import (
    HIDDEN,
    address,
    text_of,
)

pytestmark = [pytest.mark.django_db, pytest.mark.once]


def user_form(user, **changes):
    return {
        "username": user.username,
        "first_name": user.first_name,
        "last_name": user.last_name,
        "email": user.email,
        "is_active": "on",
        "groups": [group.pk for group in user.groups.all()],
        "date_joined_0": "2026-11-22",
        "date_joined_1": "09:30:00",
        **changes,
    }


def auth_entries(kind):
    return [entry.body for entry in LedgerEntry.objects.filter(stream="auth", kind=kind)]


def test_a_change_of_somebodys_rights_is_told_in_the_ledger(ada):
    rita = factories.make_person("rita")
    page = address(get_user_model(), "change", rita.pk)
    assert ada.post(page, user_form(rita)).status_code == 302
    assert auth_entries("user.changed") == []
    senior = Group.objects.get(name="senior-reviewers")
    right = Permission.objects.get(codename="retry_proposal")
    form = user_form(rita, groups=[senior.pk], user_permissions=[right.pk], is_staff="on")
    assert ada.post(page, form | {"email": "new@example.com"}).status_code == 302
    [body] = auth_entries("user.changed")
    assert body == {
        "user": rita.pk,
        "name": "rita",
        "changes": {
            "is_staff": {"was": False, "becomes": True},
            "groups": {"was": ["reviewers"], "becomes": ["senior-reviewers"]},
            "permissions": {"was": [], "becomes": ["proposals.retry_proposal"]},
        },
        "also": ["email"],
    }
    assert LedgerEntry.objects.get(kind="user.changed").actor == f"user:{ada.person.pk}"


def test_a_new_account_and_a_new_password_are_told_and_the_password_is_not(ada):
    secret = "entirely new words 4711"
    passwords = {"password1": secret, "password2": secret, "usable_password": "true"}
    page = address(get_user_model(), "add")
    assert ada.post(page, {"username": "nina", **passwords}).status_code == 302
    nina = get_user_model().objects.get(username="nina")
    [made] = auth_entries("user.created")
    assert (made["user"], made["changes"]["groups"]["becomes"]) == (nina.pk, [])
    page = reverse("admin:auth_user_password_change", args=[nina.pk])
    mistyped = passwords | {"password2": "something else"}
    ada.post(page, mistyped)
    assert auth_entries("user.changed") == []
    other = "quite different words 4712"
    assert ada.post(page, passwords | {"password1": other, "password2": other}).status_code == 302
    [changed] = auth_entries("user.changed")
    assert (changed["changes"], changed["also"]) == ({}, ["password"])
    nina.refresh_from_db()
    assert nina.check_password(other)
    for entry in LedgerEntry.objects.filter(stream="auth"):
        assert secret not in bytes(entry.canonical).decode()
        assert other not in bytes(entry.canonical).decode()
        assert "argon2" not in bytes(entry.canonical).decode()


def test_a_change_of_a_groups_rights_is_told_in_the_ledger(ada):
    group = Group.objects.get(name="operators")
    kept = list(group.permissions.exclude(codename="view_agenttoken"))
    form = {"name": "operators", "permissions": [right.pk for right in kept]}
    assert ada.post(address(Group, "change", group.pk), form).status_code == 302
    [body] = auth_entries("group.changed")
    change = body["changes"]["permissions"]
    assert set(change["was"]) - set(change["becomes"]) == {"proposals.view_agenttoken"}
    assert ada.post(address(Group, "add"), {"name": "painters"}).status_code == 302
    assert auth_entries("group.created")[0]["name"] == "painters"


def test_the_account_of_an_agent_is_not_edited(ada):
    account = factories.make_agent().user
    page = address(get_user_model(), "change", account.pk)
    assert ada.get(page).status_code == 200
    assert ada.post(page, user_form(account)).status_code == 403
    password = reverse("admin:auth_user_password_change", args=[account.pk])
    assert ada.post(password, {"password1": "x", "password2": "x"}).status_code == 403
    account.refresh_from_db()
    assert not account.is_active


def test_there_is_one_page_to_sign_in(ada):
    browser, index = Client(), reverse("admin:index")
    response = browser.get(index, follow=True)
    assert response.request["PATH_INFO"] == reverse("sign-in")
    form = {"username": "ada", "password": factories.PASSWORD}
    response = browser.post(f"{reverse('admin:login')}?next={index}", form)
    assert response["Location"].startswith(reverse("sign-in"))
    assert "sessionid" not in browser.session
    assert not browser.session.get("_auth_user_id")
    response = browser.post(f"{reverse('sign-in')}?next={index}", form | {"next": index})
    assert response["Location"] == index
    html = text_of(browser.get(index))
    assert "Countersign" in html
    assert f'href="{reverse("queue")}"' in html
    away = f"{reverse('admin:login')}?next=https://elsewhere.example/"
    assert browser.get(away)["Location"] == index


def test_signing_in_failing_to_and_signing_out_are_told_in_the_ledger():
    factories.make_person("rita")
    browser, page = Client(), reverse("sign-in")
    tried = f"rita{HIDDEN}" + "x" * 120
    browser.post(page, {"username": tried, "password": "no secret at all"})
    browser.post(page, {"username": "rita", "password": factories.PASSWORD})
    browser.post(reverse("sign-out"))
    browser.post(reverse("sign-out"))
    entries = list(LedgerEntry.objects.filter(stream="auth").order_by("id"))
    assert [entry.kind for entry in entries] == [
        "user.sign_in_failed",
        "user.signed_in",
        "user.signed_out",
    ]
    failed = entries[0].body["username"]
    assert failed.startswith("rita[U+202E RLO]xxx")
    assert len(failed) < 150
    assert entries[0].actor == "system:sign-in"
    assert "no secret" not in bytes(entries[0].canonical).decode()
    assert entries[1].actor == entries[2].actor == f"user:{factories.make_person('rita').pk}"
