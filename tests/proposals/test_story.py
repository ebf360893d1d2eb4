"""The file to read first: one write, from the agent's question to the ledger's answer.

Everything here is real: HTTP on both doors, the product's database, the shop's own database, and a
worker process that is rung through the file system.
"""

import re

import pytest
from django.test import Client

from ledger.models import LedgerEntry
from ledger.verify import Result, verify
from tests import factories
from tests.processes import AgentClient, eventually, running

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.processes]


@pytest.fixture
def agent(live_server):
    owner = factories.make_person("olga", groups=["operators"])
    agent = factories.make_agent("shop-assistant", owner=owner, grants=["records.*"])
    return AgentClient(live_server.url, factories.token_for(agent))


@pytest.fixture
def worker(shop, tmp_path):
    with running("worker", shop_url=shop.url, folder=tmp_path) as [process]:
        yield process


def signed_in(username: str, group: str) -> Client:
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(factories.make_person(username, groups=[group]))
    return browser


def submit_form(browser: Client, page: str, address: str, **fields: str):
    """Fill in the form of a page as a browser does: with its hidden fields and its CSRF token."""
    html = browser.get(page).content.decode()
    form = re.search(rf'<form[^>]*action="{re.escape(address)}".*?</form>', html, re.S)[0]
    hidden = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', form))
    return browser.post(address, {**hidden, **fields})


def order_status(shop, key: int) -> str:
    return shop.rows(f"SELECT status FROM orders WHERE id = {key}")[0][0]


def paid_order(shop) -> int:
    return shop.rows("SELECT id FROM orders WHERE status = 'paid' ORDER BY id LIMIT 1")[0][0]


def test_an_agent_proposes_a_person_decides_a_worker_commits_and_a_person_undoes(
    agent, worker, shop
):
    order = paid_order(shop)
    eventually(lambda: warm(agent, shop), what="the worker's first answer")

    # The agent proposes a refund. Nothing is written; people must look.
    status, proposal, headers = agent.propose(
        "refund-1",
        "records.update",
        {"table": "shop.orders", "key": str(order), "set": {"status": "refunded"}},
        wait=20,
        rationale="Duplicate charge, ticket 8812.",
        evidence=[{"kind": "record", "title": "order", "content": {"status": "paid"}}],
    )
    assert status == 201
    assert headers["Preference-Applied"] == "wait=20"
    assert proposal["status"] == "pending"
    assert proposal["tier"] == "medium"
    assert proposal["change"] == {"before": {"status": "paid"}, "after": {"status": "refunded"}}
    assert proposal["waiting_on"]["who"] == "people"
    assert order_status(shop, order) == "paid"

    # It sends the same again, as agents do: the same proposal, and no second one.
    again = agent.propose(
        "refund-1",
        "records.update",
        {"table": "shop.orders", "key": str(order), "set": {"status": "refunded"}},
        rationale="Duplicate charge, ticket 8812.",
        evidence=[{"kind": "record", "title": "order", "content": {"status": "paid"}}],
    )
    assert again[0] == 200
    assert again[1]["id"] == proposal["id"]
    assert again[2]["Idempotent-Replayed"] == "true"

    # Rita reads it in the console and approves exactly what she saw.
    rita = signed_in("rita", "reviewers")
    page = f"/proposals/{proposal['id']}/"
    assert proposal["digest"] in rita.get(page).content.decode()
    answer = submit_form(rita, page, f"{page}decide/", decision="approve", reason="Checked.")
    assert answer.status_code == 302, answer.content.decode()

    # A worker commits it.
    eventually(lambda: agent.get(proposal["id"])["status"] == "committed", what="the commit")
    assert order_status(shop, order) == "refunded"

    # Rita takes it back. It restores a known state, so nobody else is needed.
    answer = submit_form(rita, f"{page}undo/", f"{page}undo/", reason="The ticket was a mix-up.")
    assert answer.status_code == 302, answer.content.decode()
    eventually(lambda: agent.get(proposal["id"])["compensated_by"], what="the undo")
    assert order_status(shop, order) == "paid"

    # The ledger tells it in order, and nothing in it was changed since.
    told = LedgerEntry.objects.filter(proposal=proposal["id"]).order_by("number")
    assert [entry.kind for entry in told] == [
        "proposal.submitted",
        "proposal.checked",
        "proposal.pending",
        "proposal.reviewed",
        "proposal.approved",
        "execution.claimed",
        "execution.intended",
        "proposal.committed",
        "proposal.undone",
    ]
    assert [entry.actor_name for entry in told if entry.kind == "proposal.reviewed"] == ["Rita"]
    report = verify()
    assert report.result is Result.INTACT, report.problems


def test_a_cheap_write_commits_by_itself_within_a_second_of_asking(agent, worker, shop):
    draft = shop.rows("SELECT id FROM drafts WHERE archived_at IS NULL ORDER BY id LIMIT 1")[0][0]
    eventually(lambda: warm(agent, shop), what="the worker's first answer")

    status, proposal, _ = agent.propose(
        "subject-1",
        "records.update",
        {"table": "shop.drafts", "key": str(draft), "set": {"subject": "About your return"}},
        wait=10,
    )

    assert status == 201
    assert proposal["status"] == "committed"
    assert proposal["decisions"][0]["by"] == "policy"
    stored = shop.rows(f"SELECT subject FROM drafts WHERE id = {draft}")[0][0]
    assert stored == "About your return"


def warm(agent: AgentClient, shop) -> bool:
    """One proposal through the worker, so that what follows does not measure its start."""
    key = shop.rows("SELECT id FROM drafts WHERE archived_at IS NULL ORDER BY id DESC LIMIT 1")
    params = {"table": "shop.drafts", "key": str(key[0][0]), "set": {"subject": "Warm"}}
    return agent.propose("warm", "records.update", params, wait=20)[1]["status"] == "committed"
