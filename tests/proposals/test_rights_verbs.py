"""The table of who may do what, walked cell by cell: by the verbs themselves, on real proposals.

An owner reads the rules, and of budgets what their own agent's page says; the list of all budgets
is for those with the right to view.
"""

import copy
from types import SimpleNamespace

import pytest
from django.db import transaction
from django.test import Client
from django.urls import reverse

from budgets.models import Budget
from ledger import clock
from proposals import defaults, services
from proposals.exceptions import NotEligible, ProposalError
from proposals.models import Rule
from tests import factories
from tests.factories import AgentClient, fresh, make_checked, make_person, painting, work
from tests.toys import box

pytestmark = [pytest.mark.django_db, pytest.mark.once, pytest.mark.usefixtures("toybox")]

TABLE = """
|                      | view     | decide low, medium | decide high | undo, clean | freeze, suspend | lift a freeze | reconcile | rules, budgets, grants | tokens | ledger, export |
| Reviewer             | ●        | ●                  |             | ●           | ●               |               |           | read                   |        |                |
| Senior reviewer      | ●        | ●                  | ●           | ●           | ●               |               |           | read                   |        |                |
| Operator             | ●        |                    |             | ●           | ●               | ●             | ●         | lower only             | ●      |                |
| Policy administrator | ●        |                    |             |             | ●               |               |           | ●                      |        |                |
| Auditor              | ●        |                    |             |             |                 |               |           | read                   |        | ●              |
| Agent's owner        | own      | never own          | never own   | ask         | own             |               | never own | read                   | own    | own            |
| Agent                | own, API | never              | never       | propose own | never           | never         | never     | own budgets            | never  | own receipts   |
"""  # noqa: E501 (it is the table of the design, and reads as such)
GROUPS = {
    "Reviewer": ["reviewers"],
    "Senior reviewer": ["reviewers", "senior-reviewers"],
    "Operator": ["operators"],
    "Policy administrator": ["policy-administrators"],
    "Auditor": ["auditors"],
}

DECIDES = ("decide low, medium", "decide high", "reconcile")


def table() -> dict[tuple[str, str], str]:
    """The cells of the table by role and verb."""
    lines = [line.strip().strip("|") for line in TABLE.strip().splitlines()]
    (_, *verbs), *rows = [[cell.strip() for cell in line.split("|")] for line in lines]
    return {
        (role, verb): cell for role, *cells in rows for verb, cell in zip(verbs, cells, strict=True)
    }


class Scene:
    """Otto's agent and one of somebody else, each with something to decide, undo, stop and keep."""

    def __init__(self) -> None:
        defaults.ensure_budgets()
        self.otto = make_person("otto", groups=(), is_staff=True)
        self.own = self.things("own-bot", self.otto, "bear")
        self.others = self.things("other-bot", make_person("olaf", groups=()), "duck")
        self.freeze = services.freeze(reason="The mail server is full.", action="email.send")
        self.rule, self.budget = Rule.objects.first(), Budget.objects.first()

    def things(self, name, owner, toy):
        agent = factories.make_agent(name, owner=owner)
        made = {
            colour: make_checked(agent=agent, params=painting(colour, toy=toy, tier=tier))
            for colour, tier in (("green", "low"), ("pink", "medium"), ("black", "high"))
        }
        assert made["green"].status == "committed"
        return SimpleNamespace(
            agent=agent,
            medium=made["pink"],
            high=made["black"],
            committed=made["green"],
            fact=toy,
            api=AgentClient(factories.token_for(agent)),
        )


def tried(verb):
    """What came of it, taken back again; None when it was refused for want of a right."""
    colours, receipts = dict(box.colours), copy.deepcopy(box.receipts)
    try:
        with transaction.atomic():
            found = verb()
            transaction.set_rollback(True)
            return found or True
    except NotEligible:
        return None
    except ProposalError:
        return True  # refused for another reason: the right was there
    finally:
        box.colours, box.receipts = colours, receipts


def may(person, verb, things, scene) -> str:
    """Whether this person may do it with the things of one agent; "ask" if another must agree."""
    why = {"reason": "It was asked for in writing.", "person": person}
    agent_id = things.agent.pk
    browser = Client(raise_request_exception=False)
    browser.force_login(person)

    def opens(url):
        return browser.get(url).status_code == 200

    def decide(proposal):
        return factories.approve(proposal, reviewer=person, fact=things.fact)

    def undo():
        made = services.undo(proposal_id=things.committed.pk, **why)
        work()
        return "●" if fresh(made).status == "committed" else "ask"

    def stop():
        services.freeze(agent=things.agent, **why)
        return services.set_suspended(agent_id=agent_id, is_suspended=True, **why)

    def start():
        services.set_suspended(agent_id=agent_id, is_suspended=False, **why)
        return services.lift(freeze_id=scene.freeze.pk, **why)

    verbs = {
        "view": lambda: opens(reverse("proposal", args=[things.medium.pk])) or refuse(),
        "decide low, medium": lambda: decide(things.medium),
        "decide high": lambda: decide(things.high),
        "undo, clean": undo,
        "freeze, suspend": stop,
        "lift a freeze": start,
        "tokens": lambda: services.issue_token(agent_id=agent_id, person=person),
    }
    if verb in verbs:
        found = tried(verbs[verb])
        return found if found == "ask" else "●" if found else ""
    if verb == "reconcile":
        return settles(person, things)
    if verb == "ledger, export":
        whole = opens("/admin/ledger/ledgerentry/") and opens("/admin/ledger/ledgerentry/export/")
        page = browser.get(reverse("proposal", args=[things.medium.pk])).content.decode()
        return "●" if whole else "timeline" if 'id="timeline"' in page else ""
    return configures(person, things, scene, opens, browser)


def refuse():
    raise NotEligible


def settles(person, things) -> str:
    """Whether this person has a say in outcomes: in all verbs about them, or in none.

    Whether the outcome is unknown, or failed, is asked only of those who may.
    """
    ask = {"proposal_id": things.medium.pk, "person": person}
    said = {"finding": "cannot_tell", "evidence": "Nobody.", "authenticated_at": clock.now()}
    found = {
        "attest": tried(lambda: services.attest(**ask, **said)),
        "ask_again": tried(lambda: services.ask_again(**ask)),
        "reconcile": tried(lambda: services.reconcile(**ask, reason="Asked.")),
        "retry": tried(lambda: services.retry(**ask, reason="Again.")),
    }
    if all(found.values()):
        return "●"
    return f"some of it: {found}" if any(found.values()) else ""


def configures(person, things, scene, opens, browser) -> str:
    """What of rules, budgets and grants this person changes, lowers or reads."""
    rule, budget = scene.rule, scene.budget
    form = browser.get(f"/admin/budgets/budget/{budget.pk}/change/").content.decode()
    changes = [
        bool(
            tried(
                lambda: services.change_rule(
                    rule_id=rule.pk, version=rule.version, person=person, fields={"name": "Other"}
                )
            )
        ),
        bool(tried(lambda: services.grant(agent=things.agent, pattern="toys.*", person=person))),
        'name="_save"' in form,
    ]
    if any(changes):
        return "●" if all(changes) else f"some of it: {changes}"
    lower = {"budget_id": budget.pk, "limit": budget.limit / 2, "reason": "Careful."}
    if tried(lambda: services.lower_budget(person=person, **lower)):
        return "lower only"
    grants = opens(reverse("grants", args=[things.agent.pk]))
    if not opens(reverse("rules")):
        return "grants alone" if grants else ""
    budgets = opens(reverse("budgets"))
    return "read" if grants and budgets else "read its own" if grants else "rules alone"


def of_people(role, verb, scene) -> str:
    person = make_person(role.lower().replace(" ", "-"), groups=GROUPS[role], is_staff=True)
    found = may(person, verb, scene.others, scene)
    return "" if found == "timeline" else found


def of_owner(verb, scene) -> str:
    own, others = (may(scene.otto, verb, one, scene) for one in (scene.own, scene.others))
    shared = "rules alone"  # the rules are the same for every agent
    assert others in {"", shared}, f"{verb} with what is another's: {others}"
    if verb in DECIDES:
        return "never own" if not own and owner_in_every_group_is_refused(verb, scene) else own
    return {"●": "own", "timeline": "own", "read its own": "read"}.get(own, own)


def owner_in_every_group_is_refused(verb, scene) -> bool:
    """On what is their own, and on nothing else: it is not for want of a right."""
    with transaction.atomic():
        everybody = [make_person(f"from-{role}", groups=GROUPS[role]) for role in GROUPS]
        for person in everybody:
            scene.otto.groups.add(*person.groups.all())
        owner = type(scene.otto).objects.get(pk=scene.otto.pk)
        found = [may(owner, verb, one, scene) for one in (scene.own, scene.others)]
        transaction.set_rollback(True)
    return found == ["", "●"]


def of_agent(verb, scene) -> str:
    """By the agent's own door, and by its account as if that could sign in and held every right."""
    account, own, others = scene.own.agent.user, scene.own, scene.others
    asked = {
        "view": ("own, API", lambda one: own.api.get(f"/proposals/{one.medium.pk}")),
        "undo, clean": (
            "propose own",
            lambda one: own.api.post(f"/proposals/{one.committed.pk}/undo", {"rationale": "Oops."}),
        ),
        "ledger, export": (
            "own receipts",
            lambda one: own.api.get(f"/proposals/{one.committed.pk}"),
        ),
    }
    by_account = [may(account, verb, one, scene) for one in (own, others)]
    assert by_account == ["", ""], f"{verb} by the account of an agent: {by_account}"
    if verb in asked:
        word, ask = asked[verb]
        codes = [ask(one).status_code for one in (own, others)]
        return word if codes[0] < 300 and codes[1] == 404 else f"{codes}"
    if verb == "rules, budgets, grants":
        told = own.api.get("/budgets")
        return "own budgets" if told.status_code == 200 and told.json() else f"{told}"
    return "never"


def test_every_cell_is_what_the_design_says():
    scene, wrong = Scene(), []
    for (role, verb), expected in table().items():
        if role == "Agent's owner":
            found = of_owner(verb, scene)
        else:
            found = of_agent(verb, scene) if role == "Agent" else of_people(role, verb, scene)
        if found != expected:
            wrong.append(f"{role}, {verb}: {found or 'nothing'} instead of {expected or 'nothing'}")
    assert not wrong, "\n".join(wrong)


def test_the_table_has_every_role_and_verb():
    cells = table()
    assert len(cells) == 7 * 10
    assert {role for role, _ in cells} == {*GROUPS, "Agent's owner", "Agent"}


@pytest.mark.parametrize("verb", sorted({verb for _, verb in table()}))
def test_superuser_status_alone_opens_no_cell(verb):
    scene = Scene()
    boss = make_person("boss", groups=(), is_staff=True, is_superuser=True)
    assert may(boss, verb, scene.others, scene) == ""
