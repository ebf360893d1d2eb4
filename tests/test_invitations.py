"""Letting people in and out: invitations, groups, new passwords, deactivation."""

import re
from datetime import timedelta

import pytest
import time_machine
from allauth.account.utils import user_pk_to_url_str
from allauth.mfa.totp.internal import auth as totp
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.contrib.sessions.models import Session
from django.core import mail
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from ledger import clock
from ledger.models import LedgerEntry
from proposals import defaults, rights, services
from proposals.exceptions import InvalidRequest, NotEligible, NotFound
from proposals.models import Invitation
from tests import factories
from tests.factories import make_person

pytestmark = [pytest.mark.django_db, pytest.mark.once]
NEW = "entirely new words 4711"


def paula():
    """She manages people."""
    return make_person("paula", groups=["policy-administrators"])


def signed_in(person) -> Client:
    browser = Client()
    browser.force_login(person)
    return browser


def groups(*names: str) -> list[Group]:
    defaults.ensure()
    return list(Group.objects.filter(name__in=names))


def invite(email: str = "nina@example.com", *names: str, person=None):
    return services.invite(email=email, groups=groups(*names), person=person or paula())


def joining(**changes: str) -> dict[str, str]:
    return {
        "username": "nina",
        "name": "Nina Sand",
        "password": NEW,
        "again": NEW,
        **changes,
    }


def told(kind: str) -> list[tuple[str, dict]]:
    rows = LedgerEntry.objects.filter(stream="auth", kind=kind).order_by("id")
    return [(entry.actor, entry.body) for entry in rows]


def link_in(text: str) -> str:
    return re.search(r"http://testserver(/[^\s<]+/)", text)[1]


def nina():
    return get_user_model().objects.filter(username="nina").first()


class TestInviting:
    def test_shows_the_link_once_and_keeps_its_hash_alone(self):
        browser = signed_in(paula())
        form = {"email": "nina@example.com", "groups": ["reviewers"]}
        answer = browser.post(reverse("invite"), form)
        link = link_in(answer.content.decode())
        assert "No mail is configured" in answer.content.decode()
        assert mail.outbox == []
        secret = link.split("/")[-2]
        found = Invitation.objects.get()
        assert secret not in "".join(str(value) for value in vars(found).values())
        listed = browser.get(reverse("people")).content.decode()
        assert "nina@example.com" in listed
        assert secret not in listed
        body = {"invitation": found.pk, "groups": ["reviewers"]}
        assert told("user.invited") == [(f"user:{paula().pk}", body)]
        assert found.expires_at - found.created_at == timedelta(days=7)
        assert Client().get(link).status_code == 200

    def test_sends_the_link_where_mail_is_configured(self, settings):
        settings.MAIL_IS_ON = True
        answer = signed_in(paula()).post(reverse("invite"), {"email": "nina@example.com"})
        [letter] = mail.outbox
        assert letter.to == ["nina@example.com"]
        assert letter.subject == "You are invited to Countersign"
        assert link_in(letter.body) == link_in(answer.content.decode())
        assert "The link was sent by mail" in answer.content.decode()

    def test_survives_a_mail_server_that_does_not_answer(self, settings):
        settings.MAIL_IS_ON = True
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_PORT = 1
        answer = signed_in(paula()).post(reverse("invite"), {"email": "nina@example.com"})
        assert "The mail could not be sent" in answer.content.decode()
        assert Client().get(link_in(answer.content.decode())).status_code == 200

    def test_takes_the_right_by_name(self):
        root = make_person("root", groups=["operators"], is_superuser=True)
        for person in (make_person("rita"), root):
            with pytest.raises(NotEligible):
                invite(person=person)
            browser = signed_in(person)
            assert browser.get(reverse("people")).status_code == 403
            assert browser.post(reverse("invite"), {"email": "a@example.com"}).status_code == 403
        assert not Invitation.objects.exists()

    @pytest.mark.parametrize("email", ["paula@example.com", " PAULA@Example.com "])
    def test_is_not_for_ones_own_address(self, email):
        with pytest.raises(InvalidRequest, match="your own address"):
            invite(email)

    def test_is_not_for_an_address_that_somebody_has(self):
        make_person("rita")
        with pytest.raises(InvalidRequest, match="rita has this address"):
            invite("Rita@example.com")
        answer = signed_in(paula()).post(reverse("invite"), {"email": "rita@example.com"})
        assert answer.status_code == 422
        assert "rita has this address already" in answer.content.decode()

    @pytest.mark.parametrize(
        "wrong", [{"email": ""}, {"email": "nowhere"}, {"groups": ["nobodies"]}]
    )
    def test_names_what_is_wrong(self, wrong):
        form = {"email": "nina@example.com", **wrong}
        answer = signed_in(paula()).post(reverse("invite"), form)
        assert answer.status_code == 422
        assert "Nobody was invited" in answer.content.decode()
        assert not Invitation.objects.exists()

    def test_again_makes_the_former_link_useless(self):
        _, first = invite()
        _, second = invite("NINA@example.com")
        assert services.find_invitation(first) is None
        assert services.find_invitation(second) is not None

    def test_the_list_takes_the_same_statements_for_3_people_and_for_12(self):
        browser, counts = signed_in(paula()), []
        for more in (range(3), range(3, 12)):
            for number in more:
                make_person(f"one-{number}")
                invite(f"guest-{number}@example.com", "reviewers")
            with CaptureQueriesContext(connection) as captured:
                browser.get(reverse("people"))
            counts.append(len(captured))
        assert counts[0] == counts[1]


class TestJoining:
    def test_makes_the_account_that_was_promised_and_signs_it_in(self):
        invitation, secret = invite("nina@example.com", "reviewers", "auditors")
        browser = Client()
        answer = browser.post(reverse("join", args=[secret]), joining())
        assert answer["Location"] == reverse("account")
        assert (nina().email, nina().get_full_name()) == ("nina@example.com", "Nina Sand")
        assert {group.name for group in nina().groups.all()} == {"reviewers", "auditors"}
        assert not nina().is_staff
        assert not nina().is_superuser
        assert browser.get(reverse("queue")).status_code == 200
        [(actor, body)] = told("user.joined")
        assert (actor, body["invitation"]) == (f"user:{nina().pk}", invitation.pk)
        assert body["groups"] == ["auditors", "reviewers"]
        assert told("user.signed_in")[-1][1] == {"how": "invitation"}

    def test_happens_once(self):
        _, secret = invite()
        page = reverse("join", args=[secret])
        Client().post(page, joining())
        assert Client().get(page).status_code == 404
        assert Client().post(page, joining(username="nora")).status_code == 404
        with pytest.raises(NotFound):
            services.join(secret=secret, username="nora", password=NEW)
        assert not get_user_model().objects.filter(username="nora").exists()

    @pytest.mark.parametrize("ending", ["wrong", "cut", "digest", "revoked", "expired"])
    def test_takes_an_invitation_that_is_in_force(self, ending):
        invitation, secret = invite()
        if ending == "revoked":
            page = reverse("revoke-invitation", args=[invitation.pk])
            assert signed_in(paula()).post(page).status_code == 302
            assert told("invitation.revoked") == [
                (f"user:{paula().pk}", {"invitation": invitation.pk})
            ]
        if ending == "expired":
            Invitation.objects.update(expires_at=clock.now())
        tried = {"wrong": "x" * 43, "cut": secret[:-1], "digest": invitation.digest}
        page = reverse("join", args=[tried.get(ending, secret)])
        answer = Client().post(page, joining())
        assert answer.status_code == 404
        assert "This invitation does not work" in answer.content.decode()
        with pytest.raises(NotFound):
            services.join(secret=tried.get(ending, secret), username="nina", password=NEW)
        assert nina() is None

    @pytest.mark.parametrize(
        ("wrong", "said"),
        [
            ({"username": "PAULA"}, "has this name already"),
            ({"password": "short", "again": "short"}, "at least 12 characters"),
            ({"again": "another"}, "not the same password"),
            ({"username": "agent:mine\u202e"}, "Enter a valid username"),
        ],
    )
    def test_names_what_is_wrong_and_leaves_the_invitation(self, wrong, said):
        _, secret = invite()
        answer = Client().post(reverse("join", args=[secret]), joining(**wrong))
        assert answer.status_code == 422
        assert said in answer.content.decode()
        assert services.find_invitation(secret) is not None
        assert get_user_model().objects.count() == 1

    def test_takes_nobody_elses_session_along(self):
        _, secret = invite()
        browser = signed_in(make_person("rita"))
        browser.post(reverse("join", args=[secret]), joining())
        assert browser.session["_auth_user_id"] == str(nina().pk)


class TestGroups:
    def test_are_given_by_somebody_else_and_told(self):
        rita, browser = make_person("rita"), signed_in(paula())
        page = reverse("person-groups", args=[rita.pk])
        browser.post(page, {"groups": ["senior-reviewers"]})
        browser.post(page, {"groups": ["senior-reviewers"]})
        assert rights.has(get_user_model().objects.get(pk=rita.pk), rights.DECIDE_HIGH)
        [(actor, body)] = told("user.changed")
        assert actor == f"user:{paula().pk}"
        change = {"was": ["reviewers"], "becomes": ["senior-reviewers"]}
        assert (body["user"], body["changes"]) == (rita.pk, {"groups": change})

    def test_are_never_given_to_oneself(self):
        person = paula()
        with pytest.raises(NotEligible):
            services.set_groups(user_id=person.pk, groups=groups("senior-reviewers"), person=person)
        signed_in(person).post(
            reverse("person-groups", args=[person.pk]), {"groups": ["senior-reviewers"]}
        )
        assert [group.name for group in person.groups.all()] == ["policy-administrators"]

    def test_are_never_given_to_oneself_in_the_admin_nor_rights_to_ones_own_group(self):
        root = make_person(
            "root", groups=["policy-administrators"], is_staff=True, is_superuser=True
        )
        browser = signed_in(root)
        form = {
            "username": "root",
            "is_active": "on",
            "is_staff": "on",
            "is_superuser": "on",
            "groups": [group.pk for group in Group.objects.all()],
            "date_joined_0": "2026-11-22",
            "date_joined_1": "09:30:00",
        }
        browser.post(reverse("admin:auth_user_change", args=[root.pk]), form)
        assert [group.name for group in root.groups.all()] == ["policy-administrators"]
        own = root.groups.get()
        form = {"name": own.name, "permissions": []}
        page = reverse("admin:auth_group_change", args=[own.pk])
        assert browser.post(page, form).status_code == 403
        assert own.permissions.exists()

    def test_and_everything_else_of_an_administrator_are_for_administrators(self):
        root = make_person("root", groups=["operators"], is_superuser=True)
        for verb, more in (
            (services.set_groups, {"groups": []}),
            (services.deactivate, {}),
            (services.offer_new_password, {}),
            (services.remove_factors, {}),
        ):
            with pytest.raises(NotEligible):
                verb(user_id=root.pk, person=paula(), **more)

    def test_of_an_agents_account_cannot_be_chosen(self):
        account = factories.make_agent().user
        with pytest.raises(NotFound):
            services.set_groups(user_id=account.pk, groups=groups("reviewers"), person=paula())
        assert signed_in(paula()).get(reverse("person", args=[account.pk])).status_code == 404

    def test_can_be_chosen_by_somebody_in_an_installation_from_before(self):
        defaults.ensure()
        right = "manage_people"
        administrators = Group.objects.get(name="policy-administrators")
        administrators.permissions.remove(administrators.permissions.get(codename=right))
        defaults.ensure()
        assert administrators.permissions.filter(codename=right).exists()


class TestDeactivating:
    def test_ends_every_session_for_good(self):
        rita = make_person("rita")
        here, there, other = signed_in(rita), signed_in(rita), signed_in(make_person("ravi"))
        manager = signed_in(paula())
        manager.post(reverse("deactivate", args=[rita.pk]))
        for browser in (here, there):
            assert browser.get(reverse("queue")).status_code == 302
        manager.post(reverse("reactivate", args=[rita.pk]))
        for browser in (here, there):
            assert browser.get(reverse("queue")).status_code == 302
        assert other.get(reverse("queue")).status_code == 200
        kinds = [kind for kind in ("user.deactivated", "user.reactivated") if len(told(kind)) == 1]
        assert kinds == ["user.deactivated", "user.reactivated"]

    def test_in_the_admin_does_the_same(self):
        rita, root = make_person("rita"), make_person("root", is_superuser=True, is_staff=True)
        browser = signed_in(rita)
        form = {"username": "rita", "date_joined_0": "2026-11-22", "date_joined_1": "09:30:00"}
        page = reverse("admin:auth_user_change", args=[rita.pk])
        assert signed_in(root).post(page, form).status_code == 302
        rita.refresh_from_db()
        assert not rita.is_active
        key = browser.cookies[next(iter(browser.cookies))].value
        assert not Session.objects.filter(session_key=key).exists()

    def test_is_not_for_oneself(self):
        person = paula()
        signed_in(person).post(reverse("deactivate", args=[person.pk]))
        person.refresh_from_db()
        assert person.is_active


class TestANewPassword:
    def form(self, password: str = NEW) -> dict[str, str]:
        return {"password1": password, "password2": password}

    def test_comes_by_a_link_in_a_mail_that_works_once(self, settings):
        settings.MAIL_IS_ON = True
        rita = make_person("rita")
        browser = signed_in(rita)
        answer = Client().post(reverse("account_reset_password"), {"email": "RITA@example.com"})
        assert answer["Location"] == reverse("account_reset_password_done")
        [letter] = mail.outbox
        assert letter.subject == "A new password for Countersign"
        link = link_in(letter.body)
        assert told("user.password_reset") == []
        used = Client()
        form_page = used.get(link)["Location"]
        assert used.post(form_page, self.form())["Location"] == reverse("sign-in")
        rita.refresh_from_db()
        assert rita.check_password(NEW)
        assert [actor for actor, _ in told("user.password_reset")] == [f"user:{rita.pk}"]
        assert browser.get(reverse("queue")).status_code == 302
        assert "This link does not work" in Client().get(link).content.decode()
        again = used.post(form_page, self.form("yet another 4712 words"))
        assert "This link does not work" in again.content.decode()

    def test_for_an_unknown_address_gets_the_same_answer_and_no_mail(self, settings):
        settings.MAIL_IS_ON = True
        make_person("gone", is_active=False)
        for email in ("nobody@example.com", "gone@example.com"):
            answer = Client().post(reverse("account_reset_password"), {"email": email})
            assert answer["Location"] == reverse("account_reset_password_done")
        assert mail.outbox == []

    def test_without_mail_is_asked_of_an_administrator(self):
        make_person("rita")
        page = reverse("account_reset_password")
        assert "Ask whoever manages people" in Client().get(page).content.decode()
        assert Client().post(page, {"email": "rita@example.com"}).status_code == 200

    def test_comes_by_a_link_that_an_administrator_makes_and_the_ledger_tells(self):
        rita = make_person("rita")
        totp.TOTP.activate(rita, "JBSWY3DPEHPK3PXP")
        answer = signed_in(paula()).post(reverse("person-new-password", args=[rita.pk]))
        link = link_in(answer.content.decode())
        [(actor, _)] = told("user.password_offered")
        assert actor == f"user:{paula().pk}"
        browser = Client()
        browser.post(browser.get(link)["Location"], self.form())
        rita.refresh_from_db()
        assert rita.check_password(NEW)
        form = {"username": "rita", "password": NEW}
        assert browser.post(reverse("sign-in"), form)["Location"] == reverse("mfa_authenticate")

    @pytest.mark.parametrize("ending", ["old", "altered", "another's", "signed in meanwhile"])
    def test_takes_a_link_that_is_in_force(self, ending):
        rita, ravi = make_person("rita"), make_person("ravi")
        answer = signed_in(paula()).post(reverse("person-new-password", args=[rita.pk]))
        link = link_in(answer.content.decode())
        if ending == "altered":
            link = link[:-2] + ("0" if link[-2] != "0" else "1") + "/"
        if ending == "another's":
            theirs, mine = (f"new-password/{user_pk_to_url_str(one)}-" for one in (rita, ravi))
            link = link.replace(theirs, mine)
        if ending == "signed in meanwhile":
            signed_in(rita)
        later = clock.now() + timedelta(hours=25 if ending == "old" else 0)
        with time_machine.travel(later):
            assert "This link does not work" in Client().get(link).content.decode()

    def test_of_whoever_lost_their_factors_is_enough_once_these_are_removed(self):
        rita = make_person("rita")
        totp.TOTP.activate(rita, "JBSWY3DPEHPK3PXP")
        browser = signed_in(rita)
        signed_in(paula()).post(reverse("remove-factors", args=[rita.pk]))
        [(actor, body)] = told("factor.removed")
        assert (actor, body) == (f"user:{paula().pk}", {"factor": "totp", "user": rita.pk})
        assert browser.get(reverse("queue")).status_code == 302
        form = {"username": "rita", "password": factories.PASSWORD}
        assert browser.post(reverse("sign-in"), form)["Location"] == reverse("queue")
