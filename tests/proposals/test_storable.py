"""What no database stores is refused where it comes in: on pages, and at the operators' API."""

import pytest

from proposals.models import Freeze
from tests.factories import make_checked, make_person, painting
from tests.proposals.test_console import signed_in
from tests.proposals.test_operators_api import caller

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("toybox")]

PAGES = [
    "/runs/?agent=%00",
    "/actions/%00/",
    "/?tab=open&agent=%00",
    "/?tab=open&object=%00",
    "/?tab=waiting&list=%00",
    "/?%00=1",
    "/search/?q=nul%00",
    "/pulse/?tab=x&list=%00",
    "/runs/?before=%00",
    "/admin/ledger/ledgerentry/?agent=%00",
    "/admin/ledger/ledgerentry/?q=%00",
    "/admin/ledger/ledgerentry/export/?agent=%00",
    "/admin/proposals/freeze/?scope=%00",
    "/admin/proposals/proposal/?status=%00",
    "/admin/proposals/agent/?name=%00",
]


@pytest.mark.parametrize("page", PAGES)
def test_a_page_with_a_nul_in_its_address_is_a_bad_request(page):
    browser = signed_in(make_person("ada", is_superuser=True, is_staff=True))
    answer = browser.get(page)
    assert answer.status_code == 400
    assert "cannot be read" in answer.content.decode()


def test_the_agents_door_goes_on_naming_the_field(client):
    answer = client.get("/api/v1/proposals?run=%00")
    assert answer.status_code == 401
    assert answer["Content-Type"] == "application/problem+json"


NUL = "a\0b"


@pytest.mark.parametrize(
    ("path", "asked", "pointer"),
    [
        ("/freezes", {"scope": "everything", "reason": NUL}, "/reason"),
        ("/freezes", {"scope": "agent", "agent": NUL, "reason": "x"}, "/agent"),
        ("/freezes", {"scope": "action", "action": NUL, "reason": "x"}, "/action"),
        ("/freezes", {"scope": "run", "agent": "bot", "run": NUL, "reason": "x"}, "/run"),
        ("/agents/billing-bot/suspend", {"reason": NUL}, "/reason"),
    ],
)
def test_the_operators_api_names_the_field_and_stops_nothing(path, asked, pointer):
    agent = make_checked(params=painting(tier="medium")).agent
    answer = caller().post(path.replace("billing-bot", agent.name), **asked)
    assert answer.status_code == 400, answer.content
    assert [fault["pointer"] for fault in answer.json()["errors"]] == [pointer]
    assert not Freeze.objects.exists()
    agent.refresh_from_db()
    assert not agent.is_suspended
