"""A secret that got out is found in whatever kind of place, and named by its place alone."""

import base64
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.contrib.sessions.backends.db import SessionStore
from django.core.handlers.base import BaseHandler
from django.core.mail import EmailMessage
from django.core.management import call_command
from django.core.management.base import BaseCommand
from django.db import transaction
from django.http import HttpResponse
from django.test import Client, RequestFactory

from ledger import entries
from proposals import operator_tokens, redaction, services, setup_code, vault
from proposals.console.adapters import Factors
from proposals.models import Agent, Exchange, Proposal
from tests import factories, leaks
from tests.installations import Installation
from tests.processes import Process

pytestmark = pytest.mark.django_db
SECRET = "sk_planted/Leak-4471+\"quoted'"
ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def watch(monkeypatch: Any) -> leaks.Watch:
    """A watch of its own: what is planted here fails no test."""
    own = leaks.Watch()
    monkeypatch.setattr(leaks, "current", own)
    return own


def in_the_ledger(folder: Path) -> None:
    with transaction.atomic():
        entries.record("policy", kind="rule.changed", actor="system:test", body={"note": SECRET})


def in_evidence(folder: Path) -> None:
    proposal = factories.make_checked()
    execution = proposal.executions.get()
    Exchange.objects.create(
        **{"execution": execution, "target": "https://api.example", "purpose": "write"},
        **{"fence": 1, "key": execution.key, "started_at": execution.run_after},
        evidence={"excerpt": f"You sent {SECRET}"},
    )


def in_an_error_text(folder: Path) -> None:
    proposal = factories.make_proposal()
    Proposal.objects.filter(pk=proposal.pk).update(error={"detail": f"No: {SECRET}"})


def in_a_session(folder: Path) -> None:
    session = SessionStore()
    session["kept"] = SECRET * 20
    session.save()


def in_a_log_line(folder: Path) -> None:
    logging.getLogger("proposals.planted").info("It was %r", SECRET)


def in_a_traceback(folder: Path) -> None:
    try:
        raise ValueError(SECRET)
    except ValueError:
        logging.getLogger("planted.alone").exception("It failed")


def on_a_page(folder: Path) -> None:
    agent = factories.make_agent()
    factories.suspend(agent)
    Agent.objects.filter(pk=agent.pk).update(suspended_reason=SECRET)
    client = Client()
    client.force_login(factories.make_person("olga", groups=["operators"]))
    assert client.get(f"/agents/{agent.pk}/").status_code == 200


def in_a_header(folder: Path) -> None:
    handler = BaseHandler()
    handler._middleware_chain = lambda request: HttpResponse(headers={"X-Told": SECRET})
    handler.get_response(RequestFactory().get("/"))


def in_a_mail(folder: Path) -> None:
    EmailMessage("Hello", f"Dear Ana,\n\nŁódź: {SECRET}\n", to=["ana@example.com"]).send()


def in_words_of_a_command(folder: Path) -> None:
    class Command(BaseCommand):
        def handle(self, **options: Any) -> None:
            self.stderr.write(f"It was {SECRET}")

    call_command(Command())


def in_the_log_of_a_process(folder: Path) -> None:
    Process("worker", {}, folder / "worker.log").log.write_text(SECRET)


def in_another_spelling(folder: Path) -> None:
    logging.getLogger("proposals").error(base64.b64encode(f"shop:{SECRET}".encode()).decode())


PLANTED: dict[Callable[[Path], None], set[str]] = {
    in_the_ledger: {"table ledger_ledgerentry.canonical"},
    in_evidence: {"table proposals_exchange.evidence"},
    in_an_error_text: {"table proposals_proposal.error"},
    in_a_session: {"table django_session.session_data"},
    in_a_log_line: {"log proposals.planted"},
    in_a_traceback: {"log planted.alone"},
    on_a_page: {"page GET agents/<uuid:agent_id>/", "table proposals_agent.suspended_reason"},
    in_a_header: {"page GET (no page) (headers)"},
    in_a_mail: {"mail"},
    in_words_of_a_command: {"output of test_leaks"},
    in_the_log_of_a_process: {"file worker.log"},
    in_another_spelling: {"log proposals"},
}


@pytest.mark.usefixtures("toybox")
@pytest.mark.parametrize("plant", PLANTED, ids=lambda plant: plant.__name__)
def test_a_secret_is_found(plant: Any, watch: leaks.Watch, tmp_path: Path):
    watch.learn("secret", SECRET)
    plant(tmp_path)
    found = watch.leaks()
    assert {f"secret in {place}" for place in PLANTED[plant]} <= set(found)
    assert not any("planted/Leak" in one for one in found)


def test_an_installation_is_looked_through_when_it_is_put_down(tmp_path: Path, monkeypatch: Any):
    monkeypatch.setattr(leaks, "figures", leaks.Figures())
    made = Installation(tmp_path / "data")
    (made.folder / "logs").mkdir(parents=True)
    (made.folder / "demonstration-agent-token").write_text("cs_0123_Planted-4471\n")
    (made.folder / "demonstration-sign-ins.txt").write_text("rita  Sign-in-4471   Reviewer\n")
    made.said.write_text("Sign in as rita with Sign-in-4471")
    made.put_down()
    (made.folder / "logs" / "web.log").write_text("Bearer cs_0123_Planted-4471, Sign-in-4471")
    with pytest.raises(pytest.fail.Exception) as told:
        made.put_down()
    for kind in ("demonstration's token", "demonstration's password"):
        assert f"{kind} in file web.log of an installation" in str(told.value)
    assert "4471" not in str(told.value)


class TestALesson:
    """What passes the product's door is learnt, by whichever verb it came."""

    def test_comes_from_every_door(self, watch: leaks.Watch, settings: Any, tmp_path: Path):
        settings.DATA_DIR, settings.SECRETS_KEY = tmp_path, ""
        paula = factories.make_person("paula", is_superuser=True)
        vault.store("webhook:1", "whsec_Planted-4471")
        redaction.remember("Planted-by-hand-4471")
        factories.token_for(factories.make_agent())
        operator_tokens.issue(person=paula)
        setup_code.issue()
        paula.set_password("A-password-4471")
        paula.check_password("Another-password-4471")
        assert set(watch.learnt().values()) == {
            "secret of webhook",
            "encryption key",
            "hidden text",
            "agent's token",
            "operator's token",
            "set-up code",
            "password",
        }

    def test_comes_from_links_and_second_factors(self, watch: leaks.Watch):
        rita = factories.make_person()
        boss = factories.make_person("boss", groups=["policy-administrators"], is_superuser=True)
        services.invite(email="nina@example.com", groups=[], person=boss)
        services.offer_new_password(user_id=rita.pk, person=boss)
        Factors().encrypt("JBSWY3DPEHPK3PXP")
        kinds = {"invitation", "new-password link", "second factor"}
        assert kinds <= set(watch.learnt().values())

    @pytest.mark.parametrize("value", ["short", "another one", "damaged-words", "12345678"])
    def test_is_no_ordinary_word(self, watch: leaks.Watch, value: str):
        watch.learn("secret", value)
        assert not watch.secrets
        assert watch.ignored[value]

    def test_is_counted_once_in_all_its_spellings(self, watch: leaks.Watch):
        for spelling in leaks.spellings(SECRET):
            watch.learn("hidden text", spelling)
        assert list(watch.learnt()) == [SECRET]


class TestAPlaceWhereItIsMeant:
    def test_is_for_that_kind_alone(self, watch: leaks.Watch):
        watch.learn("agent's token", SECRET)
        watch.hear("page POST agents/<uuid:agent_id>/tokens/issue/", SECRET)
        assert watch.leaks() == []
        watch.hear("page GET agents/<uuid:agent_id>/", SECRET)
        watch.secrets["Other-4471-planted"] = "operator's token"
        watch.hear("page POST agents/<uuid:agent_id>/tokens/issue/", "Other-4471-planted")
        assert watch.leaks() == [
            "agent's token in page GET agents/<uuid:agent_id>/",
            "operator's token in page POST agents/<uuid:agent_id>/tokens/issue/",
        ]

    def test_has_its_reason(self):
        assert all(one.reason for one in leaks.MEANT)


def test_what_workers_counted_is_added_up(monkeypatch: Any):
    handed_over = []
    for learnt in (2, 3):
        monkeypatch.setattr(leaks, "figures", leaks.Figures(learnt=learnt, tests=1, searched=40))
        worker: Any = SimpleNamespace(workeroutput={})
        session: Any = SimpleNamespace(config=worker)
        leaks.pytest_sessionfinish(session)
        handed_over.append(worker)
    monkeypatch.setattr(leaks, "figures", leaks.Figures())
    for worker in [*handed_over, SimpleNamespace()]:  # the last one crashed
        leaks.pytest_testnodedown(worker)
    told = "Secrets: 5 learnt in 2 tests, 80 places searched, 0 found"
    assert str(leaks.figures) == told


@pytest.mark.once
def test_a_run_with_a_leak_fails_and_says_where_without_the_secret(tmp_path: Path):
    planted = tmp_path / "test_planted.py"
    planted.write_text(
        "import logging\n"
        "from proposals import tokens, redaction\n"
        "def test_quiet():\n"
        "    redaction.remember('Planted-' + 'quiet-1')\n"
        "def test_loud():\n"
        "    secret = 'Planted-' + 'loud-4471'\n"
        "    redaction._known.clear()\n"
        "    logging.getLogger('a.place').error('It was %s', secret)\n"
        "    print(secret)\n"
        "    redaction.remember(secret)\n"
        "def test_nothing_to_keep():\n"
        "    pass\n"
    )
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", str(planted), "-p", "tests.leaks"),
            *("-c", "pyproject.toml", "--rootdir", str(ROOT), "-p", "no:xdist"),
        ],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert "hidden text in log a.place" in done.stdout
    assert "hidden text in output of the test (stdout)" in done.stdout
    assert "Secrets: 2 learnt in 2 tests" in done.stdout
    assert "1 failed, 2 passed" in done.stdout
    assert "Planted-loud-4471" not in done.stdout + done.stderr
