"""The pages on databases and tables, as a policy administrator and others meet them."""

import re

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from proposals import services
from proposals.actions import tables
from proposals.lifecycle import Status
from proposals.models import Database, DescribedTable
from proposals.registry import registry
from proposals.targets import grants, wiring
from tests import factories
from tests.factories import fresh, make_checked, make_person, work
from tests.proposals.test_console import Page
from tests.target_fixture import DEFINITION, PASSWORD, paula

pytestmark = pytest.mark.django_db
TABLE = "/databases/crm/tables/customers/"
CHOSEN = {
    "label": "customer",
    "key": "id",
    "label_column": "name",
    "tier": "medium",
    "creatable": "on",
    "archive_column": "archived_at",
    "id-kind": "integer",
    "name-kind": "text",
    "city-kind": "text",
    "city-writable": "on",
    "city-label": "Where they live",
    "city-choices": "Porto, Bergen,Graz",
    "credit-kind": "decimal",
    "credit-writable": "on",
    "credit-tier": "high",
    "credit-currency": "currency",
    "currency-kind": "text",
    "archived_at-kind": "timestamp",
}


def signed_in(person=None) -> Client:
    browser = Client(raise_request_exception=False)
    browser.force_login(person or paula())
    return browser


def sent(browser: Client, address: str, **fields) -> Page:
    return Page(browser.post(address, fields))


def seen_in(page: Page) -> str:
    return page.all("input", name="seen")[0]["value"]


class TestConnecting:
    def test_leads_from_the_form_to_a_tested_connection(self, crm):
        browser = signed_in()
        assert "No database is connected yet" in Page(browser.get("/databases/")).text
        answer = browser.post(
            "/databases/add/",
            {"name": "crm", "password": PASSWORD, **crm.fields(), "tls": "disable"},
        )
        assert answer.url == "/databases/crm/"
        page = sent(browser, "/databases/crm/test/")
        assert "Agents can write here" in page.text
        assert "The receipt table is there" in page.text
        assert "0 of 0 may be written to" in Page(browser.get("/databases/")).text

    def test_says_at_the_field_what_is_wrong_and_keeps_what_was_typed(self):
        browser = signed_in()
        answer = browser.post(
            "/databases/add/",
            {
                "name": "Bad Name",
                "engine": "postgresql",
                "host": "db.example",
                "database": "crm",
                "user": "someone",
                "password": PASSWORD,
                "tls": "require",
            },
        )
        page = Page(answer)
        assert answer.status_code == 422
        assert "Lower-case letters, digits and underscores" in page.text
        assert page.all("input", name="host")[0]["value"] == "db.example"
        assert "value" not in page.all("input", name="password")[0]
        assert not Database.objects.exists()

    def test_shows_the_sql_filled_in_and_ready_to_copy(self, crm):
        crm.connect()
        services.describe_table(
            database="crm", name="customers", definition=DEFINITION, person=paula()
        )
        page = Page(signed_in().get("/databases/crm/"))
        assert grants.receipt_table() in page.inside("pre")
        if crm.role:
            assert f'CREATE ROLE "{crm.role}"' in page.inside("pre")
            assert 'UPDATE ("city", "credit", "name", "archived_at")' in page.inside("pre")
            assert PASSWORD not in page.html

    @pytest.mark.parametrize("address", ["/databases/nope/", "/databases/crm/tables/nope/"])
    def test_what_is_not_there_is_not_found(self, crm, address):
        crm.connect()
        assert signed_in().get(address).status_code == 404


class TestWhoMay:
    def test_see_the_list_and_who_may_look_into_a_database(self, crm):
        crm.connect()
        for username, group, may in (
            ("rita", "reviewers", False),
            ("olga", "operators", False),
            ("amir", "auditors", False),
            ("paula", "policy-administrators", True),
        ):
            browser = signed_in(make_person(username, groups=[group]))
            assert browser.get("/databases/").status_code == 200
            assert browser.get("/databases/crm/").status_code == 200
            for address in ("/databases/crm/tables/", TABLE):
                assert browser.get(address).status_code == (200 if may else 403), address
            assert browser.post(TABLE, CHOSEN).status_code == (200 if may else 403)
            is_tester = may or group == "operators"
            status = browser.post("/databases/crm/test/").status_code
            assert status == (200 if is_tester else 403)

    def test_a_superuser_without_the_right_changes_nothing(self, crm):
        boss = make_person("boss", groups=["auditors"], is_superuser=True)
        browser = signed_in(boss)
        refused = browser.post("/databases/add/", {"name": "crm", **crm.fields(), "tls": "disable"})
        assert refused.status_code == 422
        assert "takes a right that you do not have" in Page(refused).text
        assert not Database.objects.exists()

    def test_a_form_from_elsewhere_is_refused(self, crm):
        crm.connect()
        browser = Client(enforce_csrf_checks=True)
        browser.force_login(paula())
        for address in ("/databases/add/", "/databases/crm/switch/", TABLE):
            assert browser.post(address, {"to": "off"}).status_code == 403
        assert Database.objects.get().is_enabled


class TestChoosingATable:
    @pytest.fixture(autouse=True)
    def connected(self, crm):
        crm.connect()
        if crm.role:  # to read an example, as the role would once the grants are made
            crm.execute(f'GRANT SELECT ON customers TO "{crm.role}";')
        self.crm, self.browser = crm, signed_in()

    def test_lists_what_is_there(self):
        page = Page(self.browser.get("/databases/crm/tables/"))
        assert "customers" in page.text
        assert "notes" in page.text
        assert "countersign_receipts" not in page.text

    def test_offers_every_column_with_what_it_can_be(self):
        page = Page(self.browser.get(TABLE))
        assert page.all("select", name="key")
        assert {"checked": None} not in page.all("input", type="checkbox")
        assert not page.all("input", name="photo-writable")
        assert "Not to be written through here: photo" in page.text

    def test_shows_an_example_on_a_real_row_before_anything_is_kept(self):
        before = self.crm.rows("SELECT * FROM customers ORDER BY id")
        page = sent(self.browser, TABLE, **CHOSEN)
        assert "Change city of customer 1 to Bergen" in page.text
        assert "Ana Li" in page.text
        assert "was Porto" in page.text
        assert "becomes Bergen" in page.text
        assert "Medium" in page.text
        assert not DescribedTable.objects.exists()
        assert self.crm.rows("SELECT * FROM customers ORDER BY id") == before

    def test_keeps_exactly_what_the_example_was_of(self):
        seen = seen_in(sent(self.browser, TABLE, **CHOSEN))
        other = sent(self.browser, TABLE, **CHOSEN | {"tier": "low", "seen": seen})
        assert not DescribedTable.objects.exists(), "something else was sent: look again"
        answer = self.browser.post(TABLE, {**CHOSEN, "tier": "low", "seen": seen_in(other)})
        assert answer.url == "/databases/crm/"
        wiring.refresh()
        table = tables.get("crm.customers")
        assert list(table.writable) == ["city", "credit"]
        assert table.columns["city"].choices == ("Porto", "Bergen", "Graz")
        assert table.columns["city"].tier == "low"
        assert table.columns["credit"].tier == "high"
        assert table.columns["credit"].currency_column == "currency"
        assert table.archive_column == "archived_at"

    def test_shows_again_what_was_kept(self):
        seen = seen_in(sent(self.browser, TABLE, **CHOSEN))
        self.browser.post(TABLE, {**CHOSEN, "seen": seen})
        page = Page(self.browser.get(TABLE))
        assert "checked" in page.all("input", name="city-writable")[0]
        assert "checked" not in page.all("input", name="name-writable")[0]
        assert page.all("input", name="city-choices")[0]["value"] == "Porto, Bergen, Graz"
        assert "Changes" in page.text

    def test_refuses_in_a_sentence_what_does_not_fit(self):
        answer = self.browser.post(TABLE, {**CHOSEN, "key": "city", "city-writable": "on"})
        assert answer.status_code == 422
        assert "the key cannot be writable" in Page(answer).text
        answer = self.browser.post(TABLE, {**CHOSEN, "archive_column": "id"})
        assert answer.status_code == 422
        assert not DescribedTable.objects.exists()

    def test_says_when_there_is_no_row_to_show(self):
        self.crm.execute("DELETE FROM customers;")
        assert "has no rows yet" in sent(self.browser, TABLE, **CHOSEN).text

    def test_a_target_that_went_away_is_told_in_a_sentence(self):
        Database.objects.update(database="/nowhere.sqlite3", port=1)
        for address in ("/databases/crm/tables/", TABLE):
            page = Page(self.browser.get(address))
            assert "cannot be read" in page.text

    def test_hidden_characters_of_a_table_are_shown(self):
        self.crm.execute('CREATE TABLE "odd\u202ename" (id integer PRIMARY KEY);')
        html = self.browser.get("/databases/crm/tables/").content.decode()
        assert "\u202e" not in html
        assert "cannot be chosen" in html


class TestSwitching:
    def test_stops_and_starts_a_table_and_a_database(self, crm):
        crm.connect()
        crm.describe()
        proposal = make_checked(
            action="records.update",
            params={"table": "crm.customers", "key": "1", "set": {"city": "Graz"}},
        )
        rita, browser = signed_in(make_person("rita")), signed_in()
        for address in ("/databases/crm/tables/customers/switch/", "/databases/crm/switch/"):
            stopped = rita.post(address, {"to": "off"}, follow=True)
            assert "is switched off" in Page(stopped).text
            refused = rita.post(address, {"to": "on"}, follow=True)
            assert "Nothing was changed" in Page(refused).text
            assert "is on again" in Page(browser.post(address, {"to": "on"}, follow=True)).text
        factories.approve(proposal)
        rita.post("/databases/crm/switch/", {"to": "off"})
        work()
        assert fresh(proposal).status == Status.PENDING
        assert crm.city() == "Porto"


class TestTheReviewPage:
    def test_shows_beside_the_key_what_people_call_the_row(self, crm):
        crm.connect()
        crm.describe()
        crm.execute("UPDATE customers SET name = 'Ana\u202e <b>Li</b>' WHERE id = 1;")
        proposal = make_checked(
            action="records.update",
            params={"table": "crm.customers", "key": "1", "set": {"city": "Graz"}},
        )
        address = f"/proposals/{proposal.pk}/"
        html = signed_in(make_person("rita")).get(address).content.decode()
        assert "&lt;b&gt;Li&lt;/b&gt;" in html
        assert "\u202e" not in html
        digest = proposal.current_check.digest
        crm.execute("UPDATE customers SET name = 'Somebody' WHERE id = 1;")
        services.recheck(proposal_id=proposal.pk, reason="Looked at again.")
        work()
        assert fresh(proposal).current_check.digest == digest, "it is no part of what is approved"

    def test_is_shown_also_when_the_name_cannot_be_read(self, crm, monkeypatch):
        crm.connect()
        crm.describe()
        proposal = make_checked(
            action="records.update",
            params={"table": "crm.customers", "key": "1", "set": {"city": "Graz"}},
        )
        action = registry.get("records.update")
        monkeypatch.setattr(action, "names", lambda params: 1 / 0)
        assert signed_in(make_person("rita")).get(f"/proposals/{proposal.pk}/").status_code == 200


def test_lists_take_no_more_statements_for_more_rows(crm):
    browser = signed_in()
    counts = []
    for name in ("one", "two", "three"):
        crm.connect(name=name)
        for table in ("customers", "notes"):
            services.describe_table(
                database=name, name=table, definition=DEFINITION, person=paula()
            )
        wiring.refresh()
        with CaptureQueriesContext(connection) as captured:
            browser.get(reverse("databases"))
        counts.append(len(captured))
    assert counts[0] == counts[-1], counts
    assert re.search(r"three", browser.get(reverse("databases")).content.decode())
