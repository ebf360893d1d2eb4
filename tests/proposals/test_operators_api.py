"""The operators' API: what stops and starts, by a token that can do what its person may."""

import io

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from ledger.models import LedgerEntry
from proposals import freezing, operator_tokens
from proposals.models import Freeze, OperatorToken
from tests.factories import (
    AgentClient,
    approve,
    fresh,
    make_agent,
    make_checked,
    make_person,
    painting,
    token_for,
    work,
)

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("toybox")]
BASE = "/api/operator/v1"


class Caller:
    def __init__(self, token):
        self.http = Client(raise_request_exception=False)
        self.headers = {"Authorization": f"Bearer {token}"}

    def get(self, path):
        return self.http.get(BASE + path, headers=self.headers)

    def post(self, path, **body):
        return self.http.post(BASE + path, body, "application/json", headers=self.headers)


def caller(name="olga", group="operators"):
    person = make_person(name, groups=[group] if group else [])
    return Caller(operator_tokens.issue(person=person))


class TestFreezing:
    def test_everything_is_frozen_and_lifted_by_an_operator(self):
        olga = caller()
        done = olga.post("/freezes", scope="everything", reason="A wrong price list went live.")
        assert done.status_code == 201
        assert freezing.is_everything_frozen()
        [listed] = olga.get("/freezes").json()["results"]
        assert listed == done.json()
        assert (listed["scope"], listed["frozen_by"]) == ("everything", "olga")
        lifted = olga.post(f"/freezes/{listed['id']}/lift", reason="The list is right again.")
        assert lifted.json()["lifted_at"]
        assert not freezing.is_everything_frozen()
        assert olga.get("/freezes").json() == {"results": []}

    @pytest.mark.parametrize("scope", ["everything", "agent", "action", "pattern", "run"])
    def test_each_scope_stops_what_it_names_until_it_is_lifted(self, scope, toybox):
        approved = make_checked(params=painting(tier="medium"))
        approve(approved)
        asked = {
            "everything": {"scope": "everything"},
            "agent": {"scope": "agent", "agent": approved.agent.name},
            "action": {"scope": "action", "action": "toys.set"},
            "pattern": {"scope": "action", "action": "toys.*"},
            "run": {"scope": "run", "agent": approved.agent.name, "run": approved.run.name},
        }[scope]
        olga = caller()
        done = olga.post("/freezes", reason="To look at it.", **asked)
        assert done.status_code == 201, done.content
        told = done.json()
        assert {name: told[name] for name in asked} == asked
        work()
        assert (fresh(approved).status, toybox.effects) == ("approved", [])
        lifted = olga.post(f"/freezes/{told['id']}/lift", reason="It was nothing.")
        assert lifted.status_code == 200
        assert [one["lifted_at"] is None for one in (told, lifted.json())] == [True, False]
        work()
        assert fresh(approved).status == "committed"

    @pytest.mark.parametrize(
        ("asked", "pointer"),
        [
            ({"scope": "agent"}, "/agent"),
            ({"scope": "everything", "agent": "billing-bot"}, "/agent"),
            ({"scope": "run", "run": "run-1"}, "/agent"),
            ({"scope": "action", "action": "toys.sett"}, "/action"),
            ({"scope": "action", "action": "x" * 200}, "/action"),
            ({"scope": "nothing"}, "/scope"),
            ({"scope": "everything", "reason": ""}, "/reason"),
            ({"scope": "everything", "also": 1}, "/also"),
        ],
    )
    def test_a_wrong_request_names_the_field_and_freezes_nothing(self, asked, pointer):
        make_agent()
        refused = caller().post("/freezes", **{"reason": "To look at it."} | asked)
        assert refused.status_code == 400
        assert [one["pointer"] for one in refused.json()["errors"]] == [pointer]
        assert not Freeze.objects.exists()

    def test_what_is_not_there_is_not_found(self):
        olga = caller()
        for path, body in (
            ("/freezes", {"scope": "agent", "agent": "nobody-bot"}),
            ("/freezes/4711/lift", {}),
            ("/freezes/99999999999999999999/lift", {}),
            ("/agents/nobody-bot/suspend", {}),
        ):
            assert olga.post(path, reason="To look at it.", **body).status_code == 404, path


class TestSuspending:
    def test_an_agent_is_suspended_and_resumed(self):
        olga, agent = caller(), make_agent()
        assert olga.post(f"/agents/{agent.name}/suspend", reason="It loops.").json() == {
            "agent": agent.name,
            "is_suspended": True,
        }
        assert AgentClient(token_for(agent)).propose().status_code == 403
        assert olga.post(f"/agents/{agent.name}/resume", reason="Mended.").status_code == 200
        assert AgentClient(token_for(agent)).propose().status_code == 201


class TestWhoMay:
    def test_a_token_can_do_what_its_person_may_and_no_more(self):
        """A reviewer may stop; only an operator may let go on (the table of rights)."""
        rita, agent = caller("rita", "reviewers"), make_agent()
        frozen = rita.post("/freezes", scope="everything", reason="Something is wrong.")
        assert frozen.status_code == 201
        for path in (f"/freezes/{frozen.json()['id']}/lift", f"/agents/{agent.name}/resume"):
            if "resume" in path:
                rita.post(f"/agents/{agent.name}/suspend", reason="It loops.")
            refused = rita.post(path, reason="It is fine.")
            assert (refused.status_code, refused.json()["code"]) == (403, "not-eligible")
        assert freezing.is_everything_frozen()

    def test_without_a_group_nothing_is_seen_or_stopped(self):
        nobody = caller("nora", "")
        assert nobody.get("/freezes").status_code == 403
        refused = nobody.post("/freezes", scope="everything", reason="Because.")
        assert refused.status_code == 403
        assert not Freeze.objects.exists()

    @pytest.mark.parametrize("how", ["revoked", "expired", "deactivated", "mistyped", "an agent's"])
    def test_a_token_that_does_not_hold_opens_nothing(self, how):
        olga = caller()
        stored = OperatorToken.objects.get()
        if how == "revoked":
            operator_tokens.revoke_all(person=stored.person)
        elif how == "expired":
            OperatorToken.objects.update(expires_at=stored.created_at)
        elif how == "deactivated":
            stored.person.is_active = False
            stored.person.save()
        elif how == "mistyped":
            token = olga.headers["Authorization"]
            olga.headers["Authorization"] = token[:-1] + ("A" if token[-1] != "A" else "B")
        else:
            olga.headers["Authorization"] = f"Bearer {token_for(make_agent())}"
        refused = olga.post("/freezes", scope="everything", reason="To look at it.")
        assert (refused.status_code, refused.json()["code"]) == (401, "unauthenticated")
        assert refused["WWW-Authenticate"] == "Bearer"
        assert not Freeze.objects.exists()


class TestIssuing:
    def test_the_command_prints_a_token_that_works_and_the_ledger_keeps_its_name_alone(self):
        make_person("olga", groups=["operators"])
        out = io.StringIO()
        call_command("issue_operator_token", "olga", "--days", "2", stdout=out)
        token = out.getvalue().strip()
        assert Caller(token).get("/freezes").status_code == 200
        entry = LedgerEntry.objects.get(kind="operator_token.issued")
        assert token.split("_")[1] in bytes(entry.canonical).decode()
        assert token.split("_", 2)[2] not in bytes(entry.canonical).decode()
        call_command("issue_operator_token", "olga", "--revoke", stdout=out)
        assert Caller(token).get("/freezes").status_code == 401

    @pytest.mark.parametrize("days", ["0", "91"])
    def test_its_life_is_bounded(self, days):
        make_person("olga", groups=["operators"])
        with pytest.raises(CommandError, match="1 to 90 days"):
            call_command("issue_operator_token", "olga", "--days", days)

    def test_a_service_account_gets_none(self):
        agent = make_agent()
        with pytest.raises(CommandError, match="no person"):
            call_command("issue_operator_token", agent.user.username)
