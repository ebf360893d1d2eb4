"""From the one-time code of a clean installation to the first approved write, by pages alone.

Real pages in a real Chromium, a database of somebody else's, HTTP for the agent, and a worker
process.
"""

import os

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.contrib.auth import get_user_model

from proposals import setup_code
from proposals.actions import tables
from proposals.targets import grants
from proposals.tokens import SHAPE
from tests import factories
from tests.processes import AgentClient, eventually, running
from tests.target_fixture import PASSWORD
from tests.test_browser import CHROMIUM, Desk, chromium

playwright = pytest.importorskip("playwright.sync_api")
os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"

pytestmark = [
    pytest.mark.browser,
    pytest.mark.processes,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(CHROMIUM is None, reason="No Chromium is installed."),
]
__all__ = ["chromium"]


@pytest.fixture
def desk(chromium, live_server):
    opened = Desk(chromium, live_server.url)
    yield opened
    opened.close()
    assert not opened.complaints


@pytest.fixture
def worker(shop, tmp_path):
    with running("worker", shop_url=shop.url, folder=tmp_path) as [process]:
        yield process


def administrator(desk):
    """The first page of the first administrator, who has the code that the terminal printed."""
    get_user_model().objects.all().delete()
    code = setup_code.issue()
    page = desk.page()
    page.goto("/")
    page.wait_for_url("**/setup/")
    page.get_by_label("One-time code").fill(code)
    introduce(page, "ada", "Ada Berg")
    page.get_by_role("button", name="Become the administrator").click()
    page.wait_for_url("**/people/")
    return page


def introduce(page, username, name) -> None:
    page.get_by_label("Name to sign in with").fill(username)
    page.get_by_label("Your name").fill(name)
    page.get_by_label("Password", exact=True).fill(factories.PASSWORD)
    page.get_by_label("The same password again").fill(factories.PASSWORD)


def reviewer(page, desk):
    """The page of somebody whom the administrator invited to review."""
    page.get_by_role("link", name="People").click()
    page.get_by_label("E-mail address").fill("rita@example.com")
    page.get_by_label("reviewers decide at low").check()
    page.get_by_role("button", name="Invite").click()
    page.get_by_text("rita@example.com is invited.").wait_for()
    rita = desk.page()
    rita.goto(page.locator(".once").inner_text())
    introduce(rita, "rita", "Rita Sand")
    rita.get_by_role("button", name="Join").click()
    rita.get_by_role("heading", name="Your account").wait_for()
    return rita


def token_of_new_agent(page) -> str:
    """Make an agent whom the administrator answers for, grant it one action, issue a token."""
    page.get_by_role("link", name="Agents").click()
    page.get_by_role("link", name="New agent").click()
    page.get_by_label("Name").fill("crm-bot")
    page.get_by_label("Owner").select_option(index=1)
    page.get_by_role("button", name="Make the agent").click()
    page.get_by_role("heading", name="What crm-bot may propose").wait_for()
    page.locator("input[name=actions][value='records.update']").check()
    page.get_by_role("button", name="Grant the chosen actions").click()
    page.get_by_role("link", name="crm-bot", exact=True).click()
    page.get_by_role("button", name="Issue a token").click()
    return SHAPE.search(page.locator("#new-token").inner_text())[0]


def require_accessible(page) -> None:
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


def connect(page, target) -> None:
    """Fill in the form, hand the SQL to the owner, and test."""
    page.get_by_role("link", name="Databases").click()
    page.get_by_role("link", name="Connect a database").click()
    page.get_by_label("Name").fill("crm")
    fields = target.fields()
    page.get_by_label("Kind").select_option(fields["engine"])
    page.get_by_label("Database, or file").fill(fields["database"])
    if target.role:
        page.get_by_label("Host").fill(fields["host"])
        page.get_by_label("Port").fill(str(fields["port"]))
        page.get_by_label("Role").fill(target.role)
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_label("Encryption").select_option("disable")
    page.get_by_role("button", name="Connect", exact=True).click()
    page.get_by_text("Connected: crm.").wait_for()

    target.execute(page.locator("#receipt-sql").inner_text())
    if target.role:
        shown = page.locator("#role-sql").inner_text()
        target.execute(shown.replace(grants.PLACEHOLDER, PASSWORD))
    page.get_by_role("button", name="Test the connection").click()
    page.get_by_text("Agents can write here").wait_for()
    require_accessible(page)


def choose(page, target) -> None:
    """Choose a table, look at an example on a real row, and keep it."""
    page.get_by_role("link", name="Choose tables").click()
    page.get_by_role("link", name="customers").click()
    page.get_by_label("What one row is called").fill("customer")
    page.get_by_label("Human name").select_option("name")
    page.get_by_label("Tier", exact=True).select_option("medium")
    page.get_by_label("Agents may set city").check()
    page.get_by_label("Only these values of city").fill("Porto, Bergen, Graz")
    page.get_by_role("button", name="Show an example").click()
    page.get_by_role("heading", name="What an agent could propose").wait_for()
    if target.role:
        assert page.get_by_role("button", name="Keep this description").count() == 0
        target.execute(page.locator("#grant-sql").inner_text())
        page.get_by_role("button", name="Show an example").click()
    page.get_by_text("Change city of customer 1 to Bergen").wait_for()
    require_accessible(page)
    page.get_by_role("button", name="Keep this description").click()
    page.get_by_text("crm.customers may be written to as described").wait_for()


def test_the_first_write_is_set_up_proposed_approved_committed_and_undone(
    desk, bare_crm, worker, live_server
):
    page = administrator(desk)
    rita = reviewer(page, desk)
    connect(page, bare_crm)
    choose(page, bare_crm)
    assert "crm.customers" not in tables.from_files()
    client = AgentClient(live_server.url, token_of_new_agent(page))
    menu = client.send("GET", "/actions/records.update")[1]
    assert "crm.customers" in str(menu["schema"])

    status, proposal, _ = client.propose(
        "move-1",
        "records.update",
        {"table": "crm.customers", "key": "1", "set": {"city": "Graz"}},
        wait=20,
    )
    assert (status, proposal["status"]) == (201, "pending"), proposal
    assert proposal["change"] == {"before": {"city": "Porto"}, "after": {"city": "Graz"}}

    rita.goto(f"/proposals/{proposal['id']}/")
    rita.get_by_label("Approve revision 1").check()
    rita.get_by_role("button", name="Submit decision").click()
    rita.get_by_text("Approved: Change city of customer 1 to Graz").wait_for()
    eventually(lambda: client.get(proposal["id"])["status"] == "committed", what="the commit")
    assert bare_crm.city() == "Graz"

    rita.goto(f"/proposals/{proposal['id']}/undo/")
    rita.get_by_label("Reason").fill("She moved back.")
    rita.get_by_role("button", name="Propose undo").click()
    rita.get_by_text("The undo was proposed").wait_for()
    eventually(lambda: client.get(proposal["id"])["compensated_by"], what="the undo")
    assert bare_crm.city() == "Porto"

    # Switched off while the worker runs: it learns of it by itself, and people look.
    page.goto("/databases/crm/")
    page.get_by_role("button", name="Switch off customers").click()
    page.get_by_text("crm.customers is switched off. No write").wait_for()
    refused = client.propose(
        "move-2",
        "records.update",
        {"table": "crm.customers", "key": "1", "set": {"city": "Graz"}},
    )
    assert refused[0] == 400
    assert refused[1]["errors"][0]["pointer"] == "/params/table"
    assert bare_crm.city() == "Porto"
