"""Imports point one way, pure modules stay pure, and migrations agree with models."""

import ast
from pathlib import Path

import pytest
from django.core.management import call_command

ROOT = Path(__file__).resolve().parent.parent
APPS = ("approvals_site", "proposals", "budgets", "ledger")
DOORS = ("api", "console", "admin", "tasks", "management", "demonstration")
VERBS = (
    "services",
    "checks",
    "attempts",
    "execution",
    "settling",
    "shares",
    "dispatch",
    "hand",
    "gate",
    "seats",
    "idempotency",
    "tokens",
    "live",
    "proof",
    "defaults",
    "bell",
    "rights",
    "notices",
)
PURE = (
    "policy",
    "expressions",
    "registry",
    "lifecycle",
    "meanings",
    "exceptions",
    "text",
    "outbound.addresses",
    "outbound.client",
)


def modules():
    for app in APPS:
        for path in (ROOT / app).rglob("*.py"):
            if "migrations" not in path.parts:
                yield ".".join(path.relative_to(ROOT).with_suffix("").parts), path


def imports(path: Path) -> set[str]:
    """Every module that a file imports at run time, with the names taken from packages."""
    found: set[str] = set()
    for node in runtime_nodes(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def runtime_nodes(tree: ast.AST):
    """All nodes but those that only type checkers see."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        yield node
        yield from runtime_nodes(node)


def uses(path: Path, package: str) -> bool:
    return any(name == package or name.startswith(f"{package}.") for name in imports(path))


@pytest.mark.parametrize(
    ("lower", "uppers"),
    [
        ("ledger", ("budgets", "proposals", "approvals_site")),
        ("budgets", ("proposals", "approvals_site")),
        ("proposals", ("approvals_site",)),
    ],
)
def test_no_app_imports_one_above_it(lower, uppers):
    wrong = [
        f"{name} imports {upper}"
        for name, path in modules()
        if name.split(".")[0] == lower
        for upper in uppers
        if uses(path, upper)
    ]
    assert not wrong


def test_verbs_do_not_know_the_doors():
    wrong = [
        f"{name} imports {door}"
        for name, path in modules()
        if name.split(".")[:1] == ["proposals"]
        and name.split(".")[1:2]
        and name.split(".")[1] in (*VERBS, "models", "actions", *PURE)
        for door in DOORS
        if uses(path, f"proposals.{door}")
    ]
    assert not wrong


def test_models_do_not_know_the_verbs():
    wrong = [
        f"{name} imports {verb}"
        for name, path in modules()
        if name.startswith("proposals.models")
        for verb in VERBS
        if uses(path, f"proposals.{verb}")
    ]
    assert not wrong


def test_pure_modules_know_neither_models_nor_settings():
    wrong = [
        f"{name} imports {impure}"
        for name, path in modules()
        if name in {f"proposals.{pure}" for pure in PURE}
        for impure in ("proposals.models", "django.conf", "proposals.services")
        if uses(path, impure)
    ]
    assert not wrong


def test_every_status_is_assigned_by_the_lifecycle_alone():
    wrong = [
        f"{name}:{node.lineno}"
        for name, path in modules()
        if name.startswith("proposals") and name != "proposals.lifecycle"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Assign)
        and any(ast.unparse(target) == "proposal.status" for target in node.targets)
    ]
    assert not wrong


def test_no_migration_is_missing(db):
    call_command("makemigrations", "--check", "--dry-run", verbosity=0)


def test_the_check_of_imports_would_notice_one(tmp_path):
    """The guard itself: a file with a forbidden import is seen, also inside a function."""
    path = tmp_path / "bad.py"
    path.write_text("def late():\n    from proposals import services\n")
    assert uses(path, "proposals")
    assert uses(path, "proposals.services")
