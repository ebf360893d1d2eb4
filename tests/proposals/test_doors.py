"""Every address of the site, and whose door it is: none lets an agent commit, approve or rule.

An address that is in no list here fails the first test: whoever adds one says whose it is.
"""

import json
import re
from uuid import uuid4

import pytest
from django.apps import apps
from django.test import Client
from django.urls import get_resolver

from ledger.models import LedgerEntry
from proposals import defaults, services
from proposals.console import lists
from proposals.http_actions import ready
from proposals.models import (
    Agent,
    AgentToken,
    Execution,
    Freeze,
    Grant,
    HttpAction,
    NamedSecret,
    Proposal,
    Resolution,
    Review,
    ReviewClaim,
    Rule,
)
from tests.contract import assert_documented, assert_problem
from tests.factories import (
    AgentClient,
    body,
    make_agent,
    make_checked,
    make_person,
    new_key,
    painting,
    review,
    token_for,
    work,
)
from tests.proposals.test_mcp import Model

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("toybox")]

ID = "(?P<proposal_id>[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12})"
AGENTS = {
    "api/v1/^proposals/?$",
    f"api/v1/^proposals/{ID}/?$",
    f"api/v1/^proposals/{ID}/revisions/?$",
    f"api/v1/^proposals/{ID}/withdraw/?$",
    f"api/v1/^proposals/{ID}/undo/?$",
    "api/v1/^actions/?$",
    "api/v1/^actions/(?P<name>[a-z0-9_.]+)/?$",
    "api/v1/^runs/(?P<run>.+)$",
    "api/v1/^budgets/?$",
    "api/v1/^me/?$",
    "^mcp/?$",
}
PEOPLE = {
    "runs/",
    "runs/<int:run_id>/",
    "runs/<int:run_id>/undo/",
    "runs/<int:run_id>/undo/<uuid:undoing_id>/",
    "rules/",
    "rules/<int:rule_id>/try/",
    "proposals/<uuid:proposal_id>/allow/",
    "",
    "summary/",
    "pulse/",
    "views/",
    "views/<int:view_id>/remove/",
    "search/",
    "preferences/",
    "recent/",
    "proposals/<uuid:proposal_id>/",
    "proposals/<uuid:proposal_id>/explain/",
    "proposals/<uuid:proposal_id>/evidence/",
    "proposals/<uuid:proposal_id>/decide/",
    "proposals/<uuid:proposal_id>/decide/withdraw/",
    "proposals/<uuid:proposal_id>/edit/",
    "proposals/<uuid:proposal_id>/comments/<int:review_id>/resolve/",
    "proposals/<uuid:proposal_id>/claim/",
    "proposals/<uuid:proposal_id>/recheck/",
    "proposals/<uuid:proposal_id>/undo/",
    "proposals/<uuid:proposal_id>/whole/",
    "proposals/<uuid:proposal_id>/retry/",
    "proposals/<uuid:proposal_id>/reconcile/",
    "proposals/<uuid:proposal_id>/outcome/",
    "proposals/<uuid:proposal_id>/outcome/attest/",
    "proposals/<uuid:proposal_id>/outcome/ask/",
    "unknown/",
    "unknown/targets/<int:breaker_id>/try/",
    "agents/",
    "agents/new/",
    "agents/<uuid:agent_id>/",
    "agents/<uuid:agent_id>/grants/",
    "agents/<uuid:agent_id>/grants/remove/",
    "agents/<uuid:agent_id>/observed/",
    "agents/<uuid:agent_id>/observe/",
    "agents/<uuid:agent_id>/let-go/",
    "agents/<uuid:agent_id>/suspend/",
    "agents/<uuid:agent_id>/resume/",
    "agents/<uuid:agent_id>/tokens/issue/",
    "agents/<uuid:agent_id>/tokens/rotate/",
    "agents/<uuid:agent_id>/tokens/revoke/",
    "budgets/",
    "budgets/<int:budget_id>/lower/",
    "stop/",
    "stop/freeze/",
    "stop/lift/",
    "stop/suspend/",
    "stop/resume/",
    "databases/",
    "databases/add/",
    "databases/<slug:name>/",
    "databases/<slug:name>/test/",
    "databases/<slug:name>/change/",
    "databases/<slug:name>/switch/",
    "databases/<slug:name>/tables/",
    "databases/<slug:name>/tables/<slug:table>/",
    "databases/<slug:name>/tables/<slug:table>/switch/",
    "actions/",
    "actions/new/",
    "actions/try/",
    "actions/import/",
    "actions/export/",
    "actions/secrets/",
    "actions/secrets/keep/",
    "actions/secrets/<slug:name>/replace/",
    "actions/secrets/<slug:name>/forget/",
    "actions/<str:name>/",
    "actions/<str:name>/change/",
    "actions/<str:name>/try/",
    "actions/<str:name>/switch/",
    "actions/<str:name>/export/",
    "notifications/",
    "notifications/webhooks/",
    "notifications/webhooks/new/",
    "notifications/webhooks/<int:webhook_id>/",
    "notifications/webhooks/<int:webhook_id>/switch/",
    "notifications/webhooks/<int:webhook_id>/test/",
    "mail/",
    "mail/domains/",
    "mail/templates/add/",
    "mail/templates/<slug:name>/",
    "mail/templates/<slug:name>/switch/",
    "help/",
    "sign-in-again/",
    "sign-in-again/code/",
    "sign-in-again/passkey/",
    "sign-out/",
    "account/",
    "account/password/",
    "account/password/set/",
    "account/authenticator/",
    "account/authenticator/remove/",
    "account/recovery-codes/",
    "account/recovery-codes/new/",
    "account/recovery-codes/file/",
    "account/passkeys/",
    "account/passkeys/add/",
    "account/passkeys/<int:pk>/",
    "account/passkeys/<int:pk>/remove/",
    "people/",
    "people/invite/",
    "people/invitations/<int:invitation_id>/revoke/",
    "people/<int:person_id>/",
    "people/<int:person_id>/groups/",
    "people/<int:person_id>/deactivate/",
    "people/<int:person_id>/reactivate/",
    "people/<int:person_id>/new-password/",
    "people/<int:person_id>/remove-factors/",
}
OPERATORS = {
    "api/operator/v1/^freezes/?$",
    "api/operator/v1/^freezes/(?P<freeze_id>[0-9]+)/lift/?$",
    "api/operator/v1/^agents/(?P<name>[a-z0-9-]+)/suspend/?$",
    "api/operator/v1/^agents/(?P<name>[a-z0-9-]+)/resume/?$",
}
PUBLIC = {
    "api/operator/v1/^(?P<rest>(?s:.*))$",
    "api/v1/^openapi\\.json/?$",
    "api/v1/^docs/?$",
    "api/v1/^(?P<rest>(?s:.*))$",
    "api/",
    "api/<path:rest>",
    "healthz",
    "readyz",
    "metrics",
    "setup/",
    "join/<str:secret>/",
    "sign-in/",
    "sign-in/code/",
    "sign-in/passkey/",
    "sign-in/forgotten/",
    "sign-in/forgotten/sent/",
    "^sign-in/new-password/(?P<uidb36>[0-9A-Za-z]+)-(?P<key>[0-9A-Za-z-]+)/$",
}
ADMIN = "admin/"  # people's, whatever is under it
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")


def routes(patterns=None, prefix=""):
    """Every pattern of the site, with those it is included by."""
    for pattern in get_resolver().url_patterns if patterns is None else patterns:
        route = prefix + str(pattern.pattern)
        if hasattr(pattern, "url_patterns"):
            yield from routes(pattern.url_patterns, route)
        else:
            yield route


def of(door):
    is_admin = [route for route in routes() if route.startswith(ADMIN)]
    return sorted(set(routes()) & door) + (is_admin if door is PEOPLE else [])


@pytest.fixture
def scene(toybox):
    return Scene(toybox)


class Scene:
    """An agent with one proposal that waits for people and one that is committed."""

    def __init__(self, toybox):
        self.toybox = toybox
        self.agent = make_agent()
        self.pending = make_checked(agent=self.agent, params=painting(tier="medium"))
        self.committed = make_checked(agent=self.agent, params=painting("green"))
        self.token = token_for(self.agent)
        self.blocked = make_checked(agent=self.agent, params=painting("red", tier="medium"))
        review(self.blocked, "comment", about="bear", field="colour", blocks=True)
        self.comment = Review.objects.get()
        self.freeze = services.freeze(action="email.send", reason="The mail server is full.")
        refund = ready.definition("stripe-refund")
        self.action = services.save_http_action(definition=refund, person=None)
        place = {"origin": refund["origin"], "person": None}
        services.keep_secret(name="stripe", value="kept-by-nobody-at-all", **place)
        make_person("rita")

    def addresses(self, route):
        """The route with real things in it: both proposals, or whatever the admin's page is of."""
        plain = route.replace("([^/]+)", "1").replace("/?$", "").replace("^", "").replace("$", "")
        plain = plain.replace("(?P<name>[a-z0-9_.]+)", "toys.set").replace("\\.", ".")
        plain = plain.replace("(?P<run>.+)", "run-1").replace("(?P<rest>(?s:.*))", "nowhere")
        plain = re.sub(r"<int:(budget|run|rule|breaker|view)_id>", "1", plain)
        plain = plain.replace("<uuid:undoing_id>", str(uuid4()))
        plain = plain.replace("<int:review_id>", str(self.comment.pk))
        plain = plain.replace("(?P<freeze_id>[0-9]+)", str(self.freeze.pk))
        plain = plain.replace("<int:freeze_id>", str(self.freeze.pk))
        plain = plain.replace("(?P<name>[a-z0-9-]+)", self.agent.name)
        plain = plain.replace("<path:rest>", "nowhere").replace("(?P<url>.*)", "nowhere")
        plain = re.sub(r"\(\?P<app_label>[^)]*\)", "proposals", plain)
        plain = plain.replace("<path:content_type_id>", "1")
        plain = re.sub(r"<int:(person_id|invitation_id|pk)>", "1", plain)
        plain = plain.replace("<str:secret>", "nothing").replace("[0-9A-Za-z]+", "1")
        plain = plain.replace("(?P<uidb36>1)-(?P<key>[0-9A-Za-z-]+)", "1-nothing")
        plain = re.sub(
            r"<(path:object_|int:token_|int:webhook_)?id>", self.primary_key(plain), plain
        )
        plain = plain.replace("<uuid:agent_id>", str(self.agent.pk))
        plain = plain.replace("<uuid:proposal_id>", ID)
        plain = plain.replace("<str:name>", self.action.name)
        plain = plain.replace("actions/secrets/<slug:name>", "actions/secrets/stripe")
        plain = plain.replace("<slug:name>", "crm").replace("<slug:table>", "customers")
        is_of_comment = "<int:review_id>" in route
        about = (self.blocked,) if is_of_comment else (self.pending, self.committed)
        found = {f"/{plain.replace(ID, str(each.pk))}" for each in about}
        assert not any(set("<>()^$\\") & set(address) for address in found), found
        return sorted(found)

    def primary_key(self, route):
        """That of a row of the model which an admin page is of, if there is one."""
        parts = route.split("/")
        if len(parts) < 4 or parts[0] != "admin" or parts[1] not in apps.app_configs:
            return "1"
        row = apps.get_model(parts[1], parts[2])._default_manager.first()
        return str(row.pk) if row else "1"

    def form(self):
        """What a person would send to approve, to change a rule or to run an admin's action."""
        return {
            "decision": "approve",
            "digest": self.pending.current_check.digest,
            "reason": "Approved by nobody at all.",
            "scope": "everything",
            "step": "freeze",
            "freeze": str(self.freeze.pk),
            "agent": self.agent.name,
            "name": "Everything is allowed",
            "action": "*",
            "effect": "allow",
            "pattern": "*",
            "owner": str(self.agent.owner_id),
            "actions": "toys.set",
            "token": str(AgentToken.objects.get().pk),
            "seen": "1",
            "days": "90",
            "overlap": "24",
            "is_active": "on",
            "username": "rita",
            "password": "guess",
            "source": ready.text("generic-json"),
            "text": ready.text("generic-json"),
            "view": "yaml",
            "do": "keep",
            "to": "off",
            "origin": "https://attacker.example",
            "secret_value": "another-Value-of-it-3318",
            "is_meant": "on",
            "_save": "Save",
        }

    def state(self):
        """All that an agent must not be able to change."""
        return {
            "rules": list(Rule.objects.order_by("pk").values()),
            "agents": list(Agent.objects.order_by("pk").values()),
            "grants": list(Grant.objects.order_by("pk").values()),
            "tokens": list(AgentToken.objects.order_by("pk").values("pk", "revoked_at", "digest")),
            "freezes": list(Freeze.objects.order_by("pk").values()),
            "http_actions": list(HttpAction.objects.order_by("pk").values()),
            "secrets": list(NamedSecret.objects.order_by("pk").values()),
            "reviews": Review.objects.count(),
            "resolved": Resolution.objects.count(),
            "claims": list(ReviewClaim.objects.values()),
            "executions": list(Execution.objects.order_by("pk").values("pk", "status")),
            "effects": list(self.toybox.effects),
            "decided": list(
                Proposal.objects.filter(status__in=["approved", "committed", "rejected"])
                .order_by("pk")
                .values("pk", "status", "is_undone")
            ),
        }


def test_every_address_has_an_owner():
    unknown = {route for route in routes() if not route.startswith(ADMIN)} - (
        AGENTS | PEOPLE | OPERATORS | PUBLIC
    )
    assert not unknown, "Say in this file whose these addresses are."
    assert len(of(PEOPLE)) > 50


@pytest.mark.parametrize("checks_csrf", [True, False])
def test_peoples_pages_take_no_notice_of_a_token(scene, checks_csrf):
    client = Client(enforce_csrf_checks=checks_csrf, raise_request_exception=False)
    before, entries = scene.state(), LedgerEntry.objects.count()
    for route in of(PEOPLE):
        for address in scene.addresses(route):
            for method in METHODS:
                sent = {"headers": {}} if method in {"GET", "HEAD"} else {"data": ""}
                if method == "POST":
                    sent = {"data": scene.form()}
                anonymous = send(client, method, address, **sent)
                sent["headers"] = {"Authorization": f"Bearer {scene.token}"}
                with_token = send(client, method, address, **sent)
                told = f"{method} {address}: {with_token.status_code}"
                assert with_token.status_code == anonymous.status_code, told
                assert with_token.get("Location") == anonymous.get("Location"), told
                if method == "OPTIONS" and not with_token.content:
                    continue  # which methods there are is no secret
                assert with_token.status_code in {302, 403, 404, 405}, told
                if with_token.status_code == 302:
                    assert with_token["Location"].startswith(("/sign-in/", "/admin/")), told
    assert scene.state() == before
    assert LedgerEntry.objects.count() == entries


def send(client, method, address, **sent):
    if method == "POST":
        return client.post(address, **sent)
    return client.generic(method, address, **sent)


def test_every_page_opens_for_whoever_has_every_right(scene):
    """What pages show is tested on one database; that their questions are understood, on both."""
    everybody = make_person("eve", groups=defaults.GROUPS, is_staff=True)
    client, opened = Client(), set()
    client.force_login(everybody)
    tabs = {f"/?tab={name}" for name in lists.TABS}
    for address in sorted(tabs.union(*(scene.addresses(route) for route in of(PEOPLE)))):
        answer = client.get(address)
        assert answer.status_code < 500, address
        if answer.status_code == 200:
            opened.add(address)
    assert tabs < opened
    assert len(opened) > 60, sorted(opened)


def test_agents_addresses_commit_approve_and_rule_nothing(scene):
    client = AgentClient(scene.token)
    before = scene.state()
    bodies = [
        {},
        body(run="other"),
        {"rationale": "Better."},
        {"decision": "approve", "digest": scene.pending.current_check.digest},
        {"status": "approved"},
    ]
    for route in of(AGENTS) + of(PUBLIC):
        for address in scene.addresses(route):
            if not address.startswith("/api/"):
                continue
            for method in METHODS:
                for data in bodies if method in {"POST", "PUT", "PATCH"} else [None]:
                    headers = client.headers | {"Idempotency-Key": new_key()}
                    response = client.http.generic(
                        method,
                        address,
                        b"" if data is None else json.dumps(data).encode(),
                        "application/json",
                        headers=headers,
                    )
                    if method != "HEAD" and not address.endswith(("docs", "openapi.json")):
                        assert_documented(response)
                    assert response.status_code < 500, f"{method} {address}"
    assert scene.state() == before, "before any worker ran, nothing was decided or written"
    assert Proposal.objects.count() > 3, "and yet the agent was heard"
    work()
    assert list(Review.objects.all()) == [scene.comment]
    assert list(Rule.objects.order_by("pk").values()) == before["rules"]
    for proposal in Proposal.objects.exclude(pk=scene.committed.pk).filter(status="committed"):
        assert proposal.tier == "low", "what commits by itself is what the rules allow"


def test_the_tools_of_a_model_commit_approve_and_rule_nothing(scene):
    asking = Model(scene.token)
    before = scene.state()
    arguments = {name: value for name, value in body(run="other").items() if name != "action"}
    attempts = [
        {},
        arguments,
        {**arguments, "decision": "approve", "digest": scene.pending.current_check.digest},
        {"decision": "approve", "status": "approved"},
    ]
    names = {*asking.tools(), "approve_proposal", "toys.restore", "rules.save", "admin.commit"}
    for name in sorted(names):
        for proposal in (scene.pending, scene.committed):
            for sent in attempts:
                of_it = {"proposal_id": str(proposal.pk)} if name.endswith("_proposal") else {}
                key = {"idempotency_key": new_key()}
                for each in (sent, sent | of_it, sent | key, sent | of_it | key):
                    answer = asking.send("tools/call", name=name, arguments=each)
                    assert answer.status_code in {200, 400}, f"{name} {each}"
    assert scene.state() == before, "before any worker ran, nothing was decided or written"
    assert Proposal.objects.count() > 3, "and yet the agent was heard"
    work()
    assert list(Review.objects.all()) == [scene.comment]
    for proposal in Proposal.objects.exclude(pk=scene.committed.pk).filter(status="committed"):
        assert proposal.tier == "low", "what commits by itself is what the rules allow"


def test_the_operators_door_takes_neither_an_agents_token_nor_a_session(scene):
    boss = make_person("boss", groups=defaults.GROUPS, is_superuser=True, is_staff=True)
    client = Client(raise_request_exception=False)
    client.force_login(boss)
    before = scene.state()
    for route in of(OPERATORS):
        for address in scene.addresses(route):
            for method in METHODS:
                for headers in ({}, {"Authorization": f"Bearer {scene.token}"}):
                    sent = json.dumps({"reason": "x", "scope": "everything"}).encode()
                    response = client.generic(
                        method, address, sent, "application/json", headers=headers
                    )
                    assert response.status_code in {401, 405}, f"{method} {address}"
    assert scene.state() == before


def test_the_agents_door_takes_no_session(scene):
    """Not even that of a superuser who is in every group, with a CSRF token."""
    boss = make_person("boss", groups=defaults.GROUPS, is_superuser=True, is_staff=True)
    client = Client(raise_request_exception=False)
    client.force_login(boss)
    before = scene.state()
    for route in of(AGENTS):
        for address in scene.addresses(route):
            for method in METHODS:
                response = client.generic(method, address, b"{}", "application/json")
                assert response.status_code in {401, 405}, f"{method} {address}"
                assert not response.cookies
    assert scene.state() == before


def test_a_token_and_a_session_together_are_the_token_alone(scene):
    client = Client(raise_request_exception=False)
    client.force_login(make_person("rita"))
    shown = client.get("/api/v1/me", headers={"Authorization": f"Bearer {scene.token}"})
    assert shown.json()["name"] == "billing-bot"
    refused = client.get("/api/v1/me", headers={"Authorization": "Bearer wrong"})
    assert_problem(refused, 401, "unauthenticated")


def test_service_accounts_cannot_sign_in(scene):
    client = Client(raise_request_exception=False)
    account = scene.agent.user
    assert not client.login(username=account.username, password="")
    client.force_login(account)
    for address in ("/", "/recent/", f"/proposals/{scene.pending.pk}/", "/admin/"):
        assert client.get(address).status_code in {302, 403}, address
    assert client.post(f"/proposals/{scene.pending.pk}/decide/", scene.form()).status_code in {
        302,
        403,
    }
    assert list(Review.objects.all()) == [scene.comment]


def test_the_door_says_the_same_of_what_is_others_and_of_what_is_not(scene):
    stranger = AgentClient(token_for(make_agent("stranger-bot")))
    for route in of(AGENTS):
        if "proposal_id" not in route:
            continue
        for address in scene.addresses(route):
            absent = re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", str(uuid4()), address)
            for method in ("GET", "POST"):
                answers = [
                    stranger.http.generic(
                        method,
                        each,
                        b"",
                        "application/json",
                        headers=stranger.headers | {"Idempotency-Key": new_key()},
                    )
                    for each in (address, absent)
                ]
                assert answers[0].content == answers[1].content, address
                assert answers[0].status_code == answers[1].status_code
