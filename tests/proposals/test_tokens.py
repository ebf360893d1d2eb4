"""Bearer tokens: issued once, kept as a hash, ended at once, and alike in every refusal."""

import io
import json
import re
from datetime import UTC, datetime, timedelta
from unittest import mock

import pytest
import time_machine
from django.apps import apps
from django.core.management import CommandError, call_command
from django.db import connection

from ledger import clock
from ledger.models import LedgerEntry
from proposals import services, tokens
from proposals.models import Agent, AgentToken
from tests.contract import assert_problem
from tests.factories import (
    AgentClient,
    client_for,
    make_agent,
    make_checked,
    make_person,
    token_for,
)

pytestmark = pytest.mark.django_db
SHAPE = re.compile("cs_[0-9a-f]{16}_[0-9A-Za-z_-]{43}")


def stored(token):
    return AgentToken.objects.get(key_id=token[3:19])


class TestIssuing:
    def test_a_token_names_its_agent(self):
        agent = make_agent()
        token = token_for(agent)
        assert SHAPE.fullmatch(token)
        assert tokens.authenticate(token).agent == agent

    def test_each_token_is_new(self):
        agent = make_agent()
        issued = {token_for(agent) for _ in range(20)}
        assert len(issued) == len({token[3:19] for token in issued}) == 20

    def test_it_is_in_the_ledger_without_its_secret(self):
        token = token_for(make_agent())
        [entry] = LedgerEntry.objects.filter(kind="token.issued")
        assert entry.body == {"key_id": token[3:19], "days": 90}

    def test_it_lives_ninety_days_unless_told(self):
        agent = make_agent()
        usual = stored(token_for(agent))
        short = stored(tokens.issue(agent=agent, actor="user:1", days=1))
        assert abs(usual.expires_at - clock.now() - timedelta(days=90)) < timedelta(minutes=1)
        assert abs(short.expires_at - clock.now() - timedelta(days=1)) < timedelta(minutes=1)

    def test_a_dump_of_the_database_holds_nothing_that_can_be_used(self, toybox):
        agent = make_agent()
        issued = [token_for(agent) for _ in range(3)]
        client = AgentClient(issued[0])
        client.get("/me")
        make_checked(agent=agent)
        texts = set(every_text())
        assert any(issued[0][3:19] in text for text in texts), "the dump is of the right tables"
        for secret in (*issued, *(token[20:] for token in issued)):
            assert not any(secret in text for text in texts)
        key_ids = [token[3:19] for token in issued]
        for text in texts:
            candidates = [text, *(f"cs_{key_id}_{text[:43]:_<43}" for key_id in key_ids)]
            for candidate in candidates:
                assert tokens.authenticate(candidate) is None


def every_text():
    """Every value of every column of every table, as text."""
    with connection.cursor() as cursor:
        for model in apps.get_models(include_auto_created=True):
            if model._meta.managed:
                cursor.execute(f'SELECT * FROM "{model._meta.db_table}"')
                for row in cursor.fetchall():
                    for value in row:
                        yield bytes(value).hex() if is_binary(value) else str(value)


def is_binary(value):
    return isinstance(value, bytes | bytearray | memoryview)


class TestRefusing:
    def test_every_refusal_is_alike(self):
        agent = make_agent()
        good, expired, revoked = (token_for(agent) for _ in range(3))
        AgentToken.objects.filter(pk=stored(expired).pk).update(expires_at=clock.now())
        tokens.revoke(token=stored(revoked), actor="user:1")
        headers = [
            f"Bearer {expired}",
            f"Bearer {revoked}",
            f"Bearer {good[:-1]}{'A' if good[-1] != 'A' else 'B'}",
            f"Bearer {good}x",
            f"Bearer {good[:-1]}",
            f"Bearer cs_{'0' * 16}_{good[20:]}",
            f"Bearer {good.upper()}",
            f"Bearer {stored(good).digest}",
            f"Bearer {good} {good}",
            "Bearer",
            "Bearer ",
            f"Basic {good}",
            f"Token {good}",
            good,
            f"Bearer {good}\x00",
            "Bearer é",
        ]
        answers = {
            json.dumps(
                assert_problem(AgentClient(Authorization=header).get("/me"), 401, "unauthenticated")
            )
            for header in headers
        }
        assert len(answers) == 1
        for header in (f"Bearer {good}", f"bearer {good}", f"BEARER  {good} "):
            assert AgentClient(Authorization=header).get("/me").status_code == 200

    def test_a_token_elsewhere_than_in_its_header_is_not_looked_for(self):
        token = token_for(make_agent())
        client = AgentClient()
        client.http.cookies["Authorization"] = f"Bearer {token}"
        for path in (f"/me?access_token={token}", f"/me?token={token}"):
            assert_problem(client.get(path), 401, "unauthenticated")

    def test_unknown_tokens_are_compared_as_well(self):
        """So that how long a refusal takes does not tell whether a key id exists."""
        token = token_for(make_agent())
        with mock.patch.object(tokens.hmac, "compare_digest", return_value=False) as compare:
            for guess in (token, f"cs_{'0' * 16}_{'A' * 43}"):
                assert tokens.authenticate(guess) is None
        assert [len(call.args[0]) == len(call.args[1]) for call in compare.call_args_list] == [
            True,
            True,
        ]

    def test_the_machines_own_clock_decides_nothing(self):
        agent = make_agent()
        token, expired = token_for(agent), token_for(agent)
        AgentToken.objects.filter(pk=stored(expired).pk).update(expires_at=clock.now())
        for year in (1999, 2077):
            with time_machine.travel(datetime(year, 1, 1, tzinfo=UTC)):
                assert tokens.authenticate(token) is not None
                assert tokens.authenticate(expired) is None

    def test_a_revoked_token_is_refused_from_the_next_request_on(self):
        agent = make_agent()
        token, other = token_for(agent), client_for(agent)
        client = AgentClient(token)
        assert client.get("/me").status_code == 200
        for _ in range(2):
            tokens.revoke(token=stored(token), actor="user:1", actor_name="Olga")
        assert_problem(client.get("/me"), 401, "unauthenticated")
        assert other.get("/me").status_code == 200
        [entry] = LedgerEntry.objects.filter(kind="token.revoked")
        assert (entry.body, entry.actor_name) == ({"key_id": token[3:19]}, "Olga")


class TestUse:
    def test_the_last_use_is_noted_once_a_minute(self, django_assert_num_queries):
        token = token_for(make_agent())
        tokens.authenticate(token)
        first = stored(token).last_used_at
        with django_assert_num_queries(2):  # the token, and the time
            tokens.authenticate(token)
        assert stored(token).last_used_at == first
        earlier = first - timedelta(minutes=2)
        AgentToken.objects.filter(pk=stored(token).pk).update(last_used_at=earlier)
        tokens.authenticate(token)
        assert stored(token).last_used_at >= first


class TestCommand:
    def run(self, *arguments):
        out = io.StringIO()
        call_command("issue_agent_token", *arguments, stdout=out)
        return out.getvalue()

    def test_it_prints_a_token_that_works(self):
        make_agent("known-bot")
        token = self.run("known-bot").strip()
        assert AgentClient(token).get("/me").json()["name"] == "known-bot"

    @pytest.mark.parametrize("more", [("--observe",), ("--create", "--owner", "rita")])
    def test_what_is_for_a_new_agent_is_not_passed_over_for_a_known_one(self, more):
        agent = make_agent("known-bot")
        make_person("rita")
        with pytest.raises(CommandError, match="No token was issued"):
            self.run("known-bot", "--grant", "toys.*", *more)
        assert not agent.tokens.exists()
        assert not agent.grants.filter(pattern="toys.*").exists()
        owner = agent.owner.username
        assert self.run("known-bot", "--create", "--owner", owner)
        services.set_observed(agent_id=agent.pk, is_observed=True)
        assert self.run("known-bot", "--create", "--owner", owner, "--observe"), "as it is"

    def test_a_blank_name_is_named(self):
        make_person("otto", groups=())
        with pytest.raises(CommandError, match="name: This field cannot be blank"):
            self.run("", "--create", "--owner", "otto")
        with pytest.raises(CommandError, match="pattern: This field cannot be blank"):
            self.run("new-bot", "--create", "--owner", "otto", "--grant", "")

    def test_it_makes_an_agent_with_owner_and_grants(self):
        make_person("otto", groups=())
        answer = json.loads(
            self.run(
                *("new-bot", "--create", "--owner", "otto", "--grant", "records.*"),
                *("--grant", "toys.set", "--json"),
            )
        )
        agent = Agent.objects.get(name="new-bot")
        assert answer == {"agent": "new-bot", "agent_id": str(agent.pk), "token": answer["token"]}
        assert stored(answer["token"]).issued_by is None
        me = AgentClient(answer["token"]).get("/me").json()
        assert (me["owner"], me["grants"]) == ("otto", ["records.*", "toys.set"])
        assert not agent.user.has_usable_password()
        assert not agent.user.is_active

    @pytest.mark.parametrize(
        "arguments",
        [
            ["no-such-bot"],
            ["new-bot", "--create"],
            ["new-bot", "--create", "--owner", "nobody"],
            ["New Bot", "--create", "--owner", "otto"],
            ["known-bot", "--grant", "records;*"],
            ["known-bot", "--days", "0"],
            ["known-bot", "--days", "366"],
        ],
    )
    def test_what_is_wrong_is_said_and_nothing_is_made(self, arguments):
        make_agent("known-bot")
        before = (Agent.objects.count(), AgentToken.objects.count(), LedgerEntry.objects.count())
        with pytest.raises(CommandError):
            self.run(*arguments)
        assert before == (
            Agent.objects.count(),
            AgentToken.objects.count(),
            LedgerEntry.objects.count(),
        )
