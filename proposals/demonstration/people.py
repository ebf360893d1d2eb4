"""The demonstration's people, its agent and its rules. Made once, and only what is missing."""

import secrets
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.db import transaction

from ledger import clock
from proposals import defaults, services, tokens
from proposals.models import Agent, AgentToken, Rule
from proposals.policy import Effect

AGENT = "shop-assistant"
GRANTS = ["records.*", "payments.*", "email.send"]
RULES = [
    Rule(
        name="A price changed by more than half is high",
        action="records.update",
        condition=(
            'params.table == "shop.prices" && before.exists(id, before[id] != null && '
            "has(before[id].amount) && relative_change(before[id].amount, after[id].amount) > 0.5)"
        ),
        effect=Effect.RAISE,
        tier="high",
    ),
    Rule(
        name="A cancelled order is not refunded",
        action="records.update",
        condition=(
            'params.table == "shop.orders" && has(params.set.status) && '
            'params.set.status == "refunded" && '
            'before.exists(id, before[id] != null && before[id].status == "cancelled")'
        ),
        effect=Effect.DENY,
        message="A cancelled order was never paid out, so there is nothing to refund.",
    ),
    Rule(
        name="A refund of more than 200 is high",
        action="payments.refund",
        condition="number(impact.amount.amount) > 200.0",
        effect=Effect.RAISE,
        tier="high",
    ),
]


@dataclass(frozen=True)
class Person:
    username: str
    first: str
    last: str
    groups: tuple[str, ...]
    title: str
    is_staff: bool = False
    is_superuser: bool = False

    @property
    def email(self) -> str:
        return f"{self.username}@shop.example"


PEOPLE = [
    Person("rita", "Rita", "Okafor", ("reviewers",), "reviewer"),
    Person("ravi", "Ravi", "Menon", ("reviewers",), "reviewer"),
    Person("saul", "Saul", "Lindqvist", ("reviewers", "senior-reviewers"), "senior reviewer"),
    # High tier takes two senior people; with one alone, nothing of it could ever be approved.
    Person("sofia", "Sofia", "Brandt", ("reviewers", "senior-reviewers"), "senior reviewer"),
    # Olga answers for the agent, so it takes others to say what became of its writes; and of dear
    # ones, two must.
    Person("olga", "Olga", "Nowak", ("operators",), "operator", is_staff=True),
    Person("oskar", "Oskar", "Jansen", ("operators",), "operator", is_staff=True),
    Person("odile", "Odile", "Marchand", ("operators",), "operator", is_staff=True),
    Person("amir", "Amir", "Haddad", ("auditors",), "auditor", is_staff=True),
    Person(
        "ada",
        "Ada",
        "Castellanos",
        ("policy-administrators",),
        "administrator",
        is_staff=True,
        is_superuser=True,
    ),
]


def sign_ins() -> Path:
    """Where the generated passwords are kept, readable by the operator alone."""
    return settings.DATA_DIR / "demonstration-sign-ins.txt"


def token_file() -> Path:
    """Where the demonstration agent keeps its token, as any agent would."""
    return settings.DATA_DIR / "demonstration-agent-token"


def ensure() -> None:
    """Make what is missing of the people, the agent, its token and the demonstration's rules."""
    ensure_people()
    ensure_agent()
    with transaction.atomic():
        defaults.add_rules(
            [rule for rule in RULES if not Rule.history.filter(name=rule.name).exists()]
        )


def ensure_people() -> None:
    made: list[str] = []
    users = get_user_model().objects
    for person in PEOPLE:
        if users.filter(username=person.username).exists():
            continue
        password = "-".join(secrets.token_hex(2) for _ in range(4))
        with transaction.atomic():
            user = users.create_user(
                person.username,
                person.email,
                password,
                first_name=person.first,
                last_name=person.last,
                is_staff=person.is_staff,
                is_superuser=person.is_superuser,
            )
            user.groups.set(Group.objects.filter(name__in=person.groups))
        made.append(f"{person.username:8} {password}   {person.title}")
    if made:
        append_privately(sign_ins(), "\n".join(made) + "\n")


def ensure_agent() -> None:
    owner = get_user_model().objects.get(username="olga")
    agent = Agent.objects.filter(name=AGENT).first() or services.create_agent(
        name=AGENT, owner=owner
    )
    for pattern in GRANTS:
        services.grant(agent=agent, pattern=pattern)
    path = token_file()
    kept = path.read_text().strip() if path.exists() else ""
    is_good = AgentToken.objects.filter(
        digest=tokens.hashed(kept), revoked_at=None, expires_at__gt=clock.now()
    ).exists()
    if not is_good:
        path.unlink(missing_ok=True)
        append_privately(path, tokens.issue(agent=agent, actor="system:demonstration") + "\n")


def append_privately(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    with path.open("a") as file:
        file.write(text)
