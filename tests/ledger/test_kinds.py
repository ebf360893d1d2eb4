"""Lists offer every kind of event that the product enters, and none that it never does."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from ledger import kinds
from proposals.lifecycle import Status

ROOT = Path(__file__).resolve().parent.parent.parent
APPS = ("ledger", "budgets", "proposals", "approvals_site")
SHAPE = re.compile(r"[a-z_]+\.[a-z_]+\Z")
BEGINNING = re.compile(r"([a-z_]+)\.\Z")
ENTERING = re.compile(r"_?(record\w*|enter)\Z")
OFFERED = {kind for group in kinds.KINDS.values() for kind in group}
# What looks like a kind and is none: a way to a column, and how webhooks name their messages.
OTHERWISE = {"agent.name", "notice.test"}
MESSAGES = {"notice"}
WAYS = ("enabled", "disabled")
BY_PAGE = {f"{noun}.{what}" for noun in ("user", "group") for what in ("created", "changed")}


def sources() -> Iterator[ast.AST]:
    for app in APPS:
        for path in sorted((ROOT / app).rglob("*.py")):
            if "migrations" not in path.parts and path != ROOT / "ledger/kinds.py":
                yield ast.parse(path.read_text())


NODES = [node for tree in sources() for node in ast.walk(tree)]


def texts(nodes: list[ast.AST]) -> set[str]:
    found = {
        node.value
        for node in nodes
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    return {text for text in found if SHAPE.match(text)}


def given_to_the_ledger() -> set[str]:
    """Texts shaped like kinds among what is given to whatever enters facts."""
    given: list[ast.AST] = []
    for node in NODES:
        if isinstance(node, ast.Call):
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            given += [part.value for part in node.keywords if part.arg == "kind"]
            given += node.args if ENTERING.match(name) else []
        if isinstance(node, ast.Assign) and "kind" in ast.unparse(node.targets[0]).lower():
            given.append(node.value)
    return texts([inner for node in given for inner in ast.walk(node)])


def begun() -> set[str]:
    """The nouns of kinds that are put together: `table` of f"table.{way}"."""
    found = set()
    for node in NODES:
        if isinstance(node, ast.JoinedStr) and len(node.values) == 2:
            first = node.values[0]
            if isinstance(first, ast.Constant) and (match := BEGINNING.match(str(first.value))):
                found.add(match[1])
    return found & {noun(kind) for kind in OFFERED} - MESSAGES


def noun(kind: str) -> str:
    return kind.partition(".")[0]


def test_every_kind_that_the_product_enters_is_offered():
    nouns = {noun(kind) for kind in OFFERED | given_to_the_ledger()}
    written = {text for text in texts(NODES) if noun(text) in nouns} - OTHERWISE
    assert written - OFFERED == set()
    switched = {f"{each}.{way}" for each in begun() - {"proposal"} for way in WAYS}
    assert switched - OFFERED == set()
    assert BY_PAGE | {f"proposal.{status}" for status in Status} <= OFFERED


def test_no_kind_is_offered_that_nothing_enters():
    put_together = {f"{each}.{way}" for each in begun() for way in WAYS}
    entered = texts(NODES) | put_together | BY_PAGE | {f"proposal.{status}" for status in Status}
    assert OFFERED - entered == set()


def test_a_kind_is_offered_once():
    every = [kind for group in kinds.KINDS.values() for kind in group]
    assert len(every) == len(set(every))
