"""First set-up: the code in the terminal makes the first administrator, once, and nobody else."""

import stat
from unittest.mock import Mock

import pytest
from django.contrib.auth import get_user_model
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from ledger.models import LedgerEntry
from proposals import services, setup_code
from tests import factories

PAGES = ("queue", "recent", "budgets", "stop", "help", "people", "account")
pytestmark = pytest.mark.once


@pytest.fixture(autouse=True)
def _folder(settings, tmp_path):
    settings.DATA_DIR = tmp_path


def form(code: str, **changes: str) -> dict[str, str]:
    return {
        "code": code,
        "username": "anna",
        "name": "Anna Berg",
        "password": factories.PASSWORD,
        "again": factories.PASSWORD,
        **changes,
    }


class TestTheCode:
    def test_is_kept_as_a_hash_that_the_operator_alone_can_read(self):
        code = setup_code.issue()
        assert stat.S_IMODE(setup_code.path().stat().st_mode) == 0o600
        kept = setup_code.path().read_text()
        assert code not in kept
        assert code.replace("-", "") not in kept

    def test_is_known_however_it_is_grouped(self):
        code = setup_code.issue()
        for typed in (
            code,
            code.lower(),
            code.replace("-", " "),
            code.replace("-", ""),
            f" {code}",
        ):
            assert setup_code.matches(typed), typed

    def test_is_not_another(self):
        code = setup_code.issue()
        other = ("B" if code[0] == "A" else "A") + code[1:]
        for typed in (other, code[:-1], code + "A", "", setup_code.path().read_text()):
            assert not setup_code.matches(typed), typed

    def test_ends_when_another_is_made_or_it_is_forgotten(self):
        first = setup_code.issue()
        second = setup_code.issue()
        assert not setup_code.matches(first)
        assert setup_code.matches(second)
        setup_code.forget()
        assert not setup_code.matches(second)
        assert not setup_code.matches("")


@pytest.mark.django_db
class TestTheFirstSetUp:
    def test_is_where_every_page_leads_while_nobody_can_sign_in(self):
        factories.make_agent()
        get_user_model().objects.filter(agent=None).update(is_active=False)
        visitor = Client()
        for name in (*PAGES, "sign-in", "admin:index"):
            answer = visitor.get(reverse(name), follow=True)
            assert answer.request["PATH_INFO"] == reverse("setup"), name
        assert "There is no administrator yet" in answer.content.decode()
        assert "No code is waiting here" in answer.content.decode()

    def test_makes_the_administrator_signs_them_in_and_is_gone(self):
        code, browser = setup_code.issue(), Client()
        answer = browser.post(reverse("setup"), form(code.lower()))
        assert answer["Location"] == reverse("people")
        anna = get_user_model().objects.get()
        assert (anna.is_superuser, anna.is_staff, anna.get_full_name()) == (True, True, "Anna Berg")
        assert [group.name for group in anna.groups.all()] == ["policy-administrators"]
        assert browser.get(reverse("people")).status_code == 200
        assert not setup_code.exists()
        told = [
            (entry.kind, entry.body)
            for entry in LedgerEntry.objects.filter(stream="auth").order_by("id")
        ]
        assert [kind for kind, _ in told] == ["user.joined", "user.signed_in"]
        assert told[1][1] == {"how": "setup code"}
        for method in (Client().get, Client().post):
            assert method(reverse("setup"), form(code, username="bert")).status_code == 404
        assert Client().get(reverse("queue"))["Location"].startswith(reverse("sign-in"))

    @pytest.mark.parametrize("typed", ["", "AAAA-AAAA-AAAA-AAAA-AAAA", "?"])
    def test_makes_nobody_for_another_code(self, typed):
        setup_code.issue()
        answer = Client().post(reverse("setup"), form(typed))
        assert answer.status_code == 422
        assert not get_user_model().objects.exists()
        assert setup_code.exists()

    def test_makes_nobody_when_no_code_was_printed(self):
        assert Client().post(reverse("setup"), form("")).status_code == 422
        assert Client().post(reverse("setup"), form("-")).status_code == 422
        assert not get_user_model().objects.exists()

    @pytest.mark.parametrize(
        ("wrong", "said"),
        [
            ({"password": "short", "again": "short"}, "at least 12 characters"),
            ({"again": "something else"}, "not the same password"),
            ({"username": "a b"}, "Enter a valid username"),
            ({"email": "nowhere"}, "valid email address"),
        ],
    )
    def test_names_what_is_wrong_and_keeps_the_code(self, wrong, said):
        code = setup_code.issue()
        answer = Client().post(reverse("setup"), form(code, **wrong))
        assert answer.status_code == 422
        assert said in answer.content.decode()
        assert not get_user_model().objects.exists()
        assert setup_code.matches(code)

    def test_takes_ten_tries_a_minute(self):
        code, browser = setup_code.issue(), Client()
        for _ in range(10):
            assert browser.post(reverse("setup"), form("wrong")).status_code == 422
        assert browser.post(reverse("setup"), form(code)).status_code == 429
        assert not get_user_model().objects.exists()

    def test_keeps_nobody_from_signing_in_who_has_an_account(self):
        factories.make_person("rita")
        assert Client().get(reverse("queue"))["Location"].startswith(reverse("sign-in"))
        assert Client().get(reverse("sign-in")).status_code == 200
        assert Client().get(reverse("setup")).status_code == 200

    def test_does_not_come_back_with_the_old_code_when_the_administrator_goes(self):
        code = setup_code.issue()
        Client().post(reverse("setup"), form(code))
        get_user_model().objects.update(is_active=False)
        assert Client().post(reverse("setup"), form(code, username="bert")).status_code == 422
        assert get_user_model().objects.count() == 1

    def test_by_command_says_how_without_a_terminal(self, monkeypatch):
        monkeypatch.delenv("COUNTERSIGN_ADMIN_PASSWORD", raising=False)
        monkeypatch.setattr("getpass.getpass", Mock(side_effect=EOFError))
        with pytest.raises(CommandError, match="set COUNTERSIGN_ADMIN_PASSWORD"):
            call_command("first_administrator", "anna")
        monkeypatch.setenv("COUNTERSIGN_ADMIN_PASSWORD", factories.PASSWORD)
        with pytest.raises(CommandError, match="username: This field cannot be blank"):
            call_command("first_administrator", "")
        assert not get_user_model().objects.exists()

    def test_by_command_uses_the_code_up(self, monkeypatch):
        setup_code.issue()
        monkeypatch.setenv("COUNTERSIGN_ADMIN_PASSWORD", factories.PASSWORD)
        call_command("first_administrator", "anna", verbosity=0)
        assert not setup_code.exists()
        with pytest.raises(CommandError, match="administrator already"):
            call_command("first_administrator", "bert")
        with pytest.raises(services.people.NotEligible):
            services.make_first_administrator(username="bert", password=factories.PASSWORD)
