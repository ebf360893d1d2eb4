"""What is read beside a stored value: yes and no, labels of choices, and names of other rows."""

import pytest
from django.db import connections
from django.test.utils import CaptureQueriesContext

from ledger import sealer
from proposals import live, services, story
from proposals.actions import naming, tables
from proposals.actions.writing import RecordsAction
from proposals.console import diff, meant
from proposals.exceptions import InvalidRequest, TargetUnavailable
from proposals.meanings import Meaning
from proposals.models import Database, DescribedTable
from proposals.registry import Call
from proposals.targets import grants, inspection, wiring
from tests import factories
from tests.factories import fresh, make_checked, new_key, work
from tests.proposals.admin.pages import signed_in as signed_in_to_admin
from tests.proposals.test_console import Page, address, signed_in
from tests.proposals.test_table_pages import seen_in, sent
from tests.proposals.test_table_pages import signed_in as paulas_browser
from tests.target_fixture import DEFINITION, paula
from tests.toys import box

pytestmark = pytest.mark.django_db
TABLE = "/databases/crm/tables/visits/"
VISITS = """
    CREATE TABLE visits (
        id integer PRIMARY KEY, customer_id integer NOT NULL REFERENCES customers,
        state text NOT NULL DEFAULT 'new', is_paid boolean NOT NULL DEFAULT false,
        rank integer NOT NULL DEFAULT 1
    );
"""
VISIT = {
    "label": "visit",
    "tier": "medium",
    "columns": {
        "customer_id": {"kind": "integer", "writable": True, "refers_to": "customers.id"},
        "state": {"writable": True, "value_labels": {"new": "Not begun", "done": "Over"}},
        "is_paid": {"kind": "boolean", "writable": True},
        "rank": {"kind": "integer", "writable": True, "value_labels": {"1": "First"}},
    },
}
CHOSEN = {
    "label": "visit",
    "key": "id",
    "tier": "medium",
    "id-kind": "integer",
    "customer_id-kind": "integer",
    "customer_id-writable": "on",
    "state-kind": "text",
    "state-writable": "on",
    "state-labels": "new = Not begun\r\n\r\ndone=Over\r\n",
    "is_paid-kind": "boolean",
    "is_paid-writable": "on",
    "rank-kind": "integer",
}


def offer(crm, name, definition) -> None:
    """Describe a table, with the grants that its page asks for."""
    if crm.role:
        table = tables.described_by("", "crm", name, definition)
        crm.execute(grants.table(Database(**crm.fields()), table))
    services.describe_table(database="crm", name=name, definition=definition, person=paula())
    wiring.refresh()


@pytest.fixture
def visits(crm):
    """Customers and thirty visits of the first of them, both offered."""
    crm.execute(VISITS)
    for key in range(1, 31):
        crm.execute(f"INSERT INTO visits (id, customer_id) VALUES ({key}, 1);")
    crm.connect()
    crm.describe()
    offer(crm, "visits", VISIT)
    return crm


def changing(*keys, **values):
    given = {"key": "1"} if not keys else {"keys": [str(key) for key in keys]}
    params = {"table": "crm.visits", **given, "set": values}
    return make_checked(action="records.update", params=params)


def seen(proposal, name="proposal", query=""):
    return Page(signed_in().get(address(name, proposal, query)))


def cells(page) -> list[str]:
    """The text of each cell, as it is read."""
    found: dict[int, list[str]] = {}
    for above, text in page.texts:
        if any(one.get("class") in {"hidden-text", "difference"} for _, one in above):
            continue
        for tag, attributes in above:
            if tag == "td":
                found.setdefault(id(attributes), []).append(text)
    return [" ".join("".join(parts).split()) for parts in found.values()]


def committed(**values):
    proposal = changing(**values)
    factories.approve(proposal)
    work()
    return fresh(proposal)


def explained(proposal) -> str:
    sealer.seal()
    page = Page(signed_in_to_admin("amir", ["auditors"]).get(address("explain", proposal)))
    return " | ".join(cells(page))


class TestAYesOrNo:
    def test_is_said_in_a_word_beside_what_is_stored(self, visits):
        page = cells(seen(changing(is_paid=True)))
        assert "no (false)" in page
        assert "yes (true)" in page

    def test_is_said_on_the_undo_page_and_in_the_story_too(self, visits, settings, tmp_path):
        settings.DATA_DIR = tmp_path
        written = committed(is_paid=True)
        assert "yes (true)" in cells(seen(written, "undo"))
        assert "yes (true)" in explained(written)

    def test_of_an_action_is_said_without_anybody_describing_it(self, toybox):
        box.colours["bear"] = False
        assert "no (false)" in cells(seen(make_checked(params=factories.painting(tier="medium"))))


class TestAChoice:
    def test_is_shown_by_its_label_and_what_is_stored(self, visits):
        page = cells(seen(changing(state="done")))
        assert "Not begun (new)" in page
        assert "Over (done)" in page

    def test_without_a_label_is_shown_just_as_stored(self, visits):
        page = seen(changing(state="away"))
        assert "away" in cells(page)
        assert "(away)" not in page.text

    def test_of_a_whole_number_is_no_amount_that_grows(self, visits):
        page = seen(changing(rank=2))
        assert "First (1)" in cells(page)
        assert "+1" not in page.text

    def test_is_shown_so_on_the_undo_page_and_in_the_story(self, visits, settings, tmp_path):
        settings.DATA_DIR = tmp_path
        written = committed(state="done")
        assert "Over (done)" in cells(seen(written, "undo"))
        assert "Not begun (new) | Over (done)" in explained(written)

    def test_is_shown_so_beside_an_earlier_revision(self, visits):
        page = seen(amended(changing(state="done"), state="new"), query="?view=since")
        assert "Over (done)" in cells(page)
        assert "Not begun (new)" in cells(page)

    def test_shows_what_a_label_hides_whoever_stored_it(self, visits):
        state = {"writable": True, "value_labels": {"new": "\u202e<b>begun"}}
        offer(visits, "visits", VISIT | {"columns": VISIT["columns"] | {"state": state}})
        html = seen(changing(state="done")).html
        assert "\u202e" not in html
        assert "&lt;b&gt;begun" in html

    def test_keeps_an_approval_when_its_label_changes(self, visits):
        proposal = changing(state="done")
        state = {"writable": True, "value_labels": {"done": "Finished"}}
        offer(visits, "visits", VISIT | {"columns": VISIT["columns"] | {"state": state}})
        assert rechecked(proposal) == proposal.current_check.digest

    @pytest.mark.parametrize(
        ("kind", "labels"),
        [
            ("decimal", {"1.00": "One"}),
            ("integer", {"one": "One"}),
            ("boolean", {"yes": "Yes"}),
            ("text", {"a": ""}),
            ("text", {"": "Nothing"}),
            ("text", {"a": "x" * 101}),
            ("text", {str(number): "x" for number in range(101)}),
        ],
    )
    def test_is_described_by_nothing_that_could_not_be_stored_or_read(self, visits, kind, labels):
        column = {"kind": kind, "writable": True, "value_labels": labels}
        with pytest.raises(InvalidRequest):
            services.databases.understood("crm", "visits", {"columns": {"state": column}})


def amended(proposal, **values):
    """The agent writes another revision, and it is checked."""
    services.amend(
        agent=factories.make_agent(),
        proposal_id=proposal.pk,
        key=new_key(),
        fingerprint=new_key(),
        changes={"params": {"table": "crm.visits", "key": "1", "set": values}, "rationale": "Now."},
    )
    work()
    return fresh(proposal)


def rechecked(proposal) -> str:
    services.recheck(proposal_id=proposal.pk, reason="Looked at again.")
    work()
    return fresh(proposal).current_check.digest


def asked_of(name) -> CaptureQueriesContext:
    connection = connections[name]
    connection.ensure_connection()
    return CaptureQueriesContext(connection)


def about_customers(captured) -> list[str]:
    return [one["sql"] for one in captured if 'FROM "customers"' in one["sql"]]


class TestAReference:
    def test_is_shown_by_key_with_the_name_of_the_row_beside_it(self, visits):
        page = seen(changing(customer_id=2))
        assert "1 Ana Li" in cells(page)
        assert "2 Bo Vik" in cells(page)
        assert "+100" not in page.text, "keys are not counted"

    def test_is_named_on_the_undo_page_and_in_the_story_too(self, visits, settings, tmp_path):
        settings.DATA_DIR = tmp_path
        written = committed(customer_id=2)
        assert "1 Ana Li" in cells(seen(written, "undo"))
        assert "1 (Ana Li) | 2 (Bo Vik)" in explained(written)
        told = story.build(written.pk).sections
        [change] = [
            table
            for part in told
            for table in part.tables
            if table.caption.startswith("The change")
        ]
        assert "today's" in change.caption

    def test_is_named_beside_an_earlier_revision(self, visits):
        proposal = amended(changing(customer_id=2), customer_id=1)
        with asked_of("crm") as captured:
            page = seen(proposal, query="?view=since")
        assert "2 Bo Vik" in cells(page)
        assert len(about_customers(captured)) == 1

    def test_shows_everything_hidden_in_a_name(self, visits):
        visits.execute("UPDATE customers SET name = 'Bo\u202e <b>Vik</b>' WHERE id = 2;")
        html = seen(changing(customer_id=2)).html
        assert "&lt;b&gt;Vik&lt;/b&gt;" in html
        assert "U+202E" in html
        assert "\u202e" not in html

    def test_is_no_part_of_what_is_approved(self, visits):
        proposal = changing(customer_id=2)
        visits.execute("UPDATE customers SET name = 'Somebody';")
        assert rechecked(proposal) == proposal.current_check.digest
        assert "2 Somebody" in cells(seen(proposal))

    def test_takes_one_statement_for_2_rows_and_for_30(self, visits):
        for count in (2, 30):
            proposal = changing(*range(1, count + 1), customer_id=2)
            with asked_of("crm") as captured:
                assert "2 Bo Vik" in cells(seen(proposal))
            assert len(about_customers(captured)) == 1, count

    def test_takes_none_in_a_view_that_shows_no_fields(self, visits):
        proposal = changing(customer_id=2)
        with asked_of("crm") as captured:
            seen(proposal, query="?view=raw")
        assert not about_customers(captured)

    def test_of_a_row_that_is_not_there_is_the_key_alone(self, visits):
        for key in (99, -1, 2**53 - 1):
            page = cells(seen(changing(customer_id=key)))
            assert str(key) in page
            assert "1 Ana Li" in page

    def test_is_named_only_while_the_other_table_is_offered(self, visits):
        proposal = changing(customer_id=2)
        services.switch_table(database="crm", name="customers", is_enabled=False, person=paula())
        page = seen(proposal)
        assert "2" in cells(page)
        assert "Bo Vik" not in page.html

    def test_is_not_named_where_the_other_table_has_no_names(self, visits):
        proposal = changing(customer_id=2)
        offer(visits, "customers", DEFINITION | {"label_column": ""})
        page = seen(proposal)
        assert "2" in cells(page)
        assert "Bo Vik" not in page.html

    def test_is_not_named_by_another_key_than_the_described_one(self, visits):
        column = VISIT["columns"]["customer_id"] | {"refers_to": "customers.number"}
        offer(visits, "visits", VISIT | {"columns": VISIT["columns"] | {"customer_id": column}})
        page = seen(changing(customer_id=2))
        assert "2" in cells(page)
        assert "Bo Vik" not in page.html, "this is the name of whoever has 2 as another key"

    def test_that_cannot_be_read_leaves_the_key_and_the_page(self, visits, monkeypatch):
        proposal = changing(customer_id=2)
        written = committed(customer_id=2)
        for fails in (lambda *given: 1 / 0, lambda *given: naming.names(None, ["1"])):
            monkeypatch.setattr(RecordsAction, "called", fails)
            for name, one in (("proposal", proposal), ("undo", written)):
                page = seen(one, name)
                assert "2" in cells(page)
                assert "Bo Vik" not in page.html

    def test_is_asked_for_once_where_the_target_is_out_of_reach(self, monkeypatch):
        asked = []

        def fails(self, place, keys):
            asked.append(place)
            raise TargetUnavailable("crm cannot be reached.")

        monkeypatch.setattr(RecordsAction, "called", fails)
        meanings = {name: Meaning(refers_to=f"crm.{name}") for name in "abc"}
        values = [(name, 1) for name in "abc"]
        assert not any(live.referred("records.update", meanings, values).values())
        assert asked == ["crm.a"]

    def test_nor_are_currencies_then(self, monkeypatch):
        asked = []

        def fails(self, *_args):
            asked.append(1)
            raise TargetUnavailable("crm cannot be reached.")

        meanings = {"a": Meaning(refers_to="crm.a"), "b": Meaning(currency="c")}
        monkeypatch.setattr(RecordsAction, "meanings", lambda self, params: meanings)
        monkeypatch.setattr(RecordsAction, "called", fails)
        monkeypatch.setattr(RecordsAction, "held", fails)
        groups = diff.objects({"1": {"a": 1, "b": "2.00"}}, None, {"1": {"a": 2, "b": "3.00"}})
        [group] = meant.understood(Call("records.update", {}), groups)
        assert [row.unit for row in group.changed] == ["", ""]
        assert asked == [1]

    def test_whose_table_went_away_leaves_the_key_and_the_page(self, visits):
        proposal = changing(customer_id=2)
        visits.execute("ALTER TABLE customers RENAME TO clients;")
        assert "2" in cells(seen(proposal))


class TestTheCurrencyOfAnAmount:
    def credit(self, *keys, **values):
        given = {"keys": list(keys)} if len(keys) > 1 else {"key": keys[0]}
        params = {"table": "crm.customers", **given, "set": {"credit": "5.00"} | values}
        return make_checked(action="records.update", params=params)

    def test_is_said_beside_its_name_as_the_row_holds_it_now(self, visits):
        proposal = self.credit("1")
        assert "credit in EUR" in seen(proposal).text
        visits.execute("UPDATE customers SET currency = 'USD';")
        assert "credit in USD" in seen(proposal).text

    def test_is_said_on_the_undo_page_too(self, visits):
        proposal = self.credit("1")
        factories.approve(proposal)
        work()
        assert "credit in EUR" in seen(proposal, "undo").text

    @pytest.mark.parametrize(
        ("currency", "told"),
        [("USD", "several currencies"), ("U\u202eSD", "U+202E")],
    )
    def test_is_said_on_the_undo_page_as_it_is_now_for_undo_is_never_refused(
        self, visits, currency, told
    ):
        proposal = self.credit("1", "2")
        factories.approve(proposal)
        work()
        where = "id = 2" if currency == "USD" else "id > 0"
        visits.execute(f"UPDATE customers SET currency = '{currency}' WHERE {where};")
        page = seen(proposal, "undo")
        assert told in page.html
        assert "\u202e" not in page.html

    @pytest.mark.parametrize(
        ("currency", "told"),
        [
            ("USD", "in several currencies (EUR and USD); propose them apart"),
            ("U\u202eSD", "has no currency of three letters"),
        ],
    )
    def test_that_is_not_one_any_more_is_said_in_words(self, visits, currency, told):
        proposal = self.credit("1", "2")
        visits.execute(f"UPDATE customers SET currency = '{currency}' WHERE id = 2;")
        page = seen(proposal)
        assert told in page.text
        assert "credit in" not in page.text
        assert "\u202e" not in page.html

    def test_is_left_to_its_own_row_where_that_is_part_of_the_change(self, visits):
        currency = {"columns": DEFINITION["columns"] | {"currency": {"writable": True}}}
        offer(visits, "customers", DEFINITION | currency)
        page = seen(self.credit("1", currency="USD"))
        assert "EUR" in cells(page)
        assert "credit in" not in page.text

    def test_takes_one_statement_however_many_rows_there_are(self, visits):
        proposals = [self.credit("1"), self.credit("1", "2")]
        counts = []
        for proposal in proposals:
            with asked_of("crm") as captured:
                seen(proposal, query="?view=fields")
            counts.append(len([one for one in captured if "currency" in one["sql"]]))
        assert counts[0] == counts[1] == 2, "the preview and this"

    def test_that_cannot_be_read_is_left_out(self, visits, monkeypatch):
        monkeypatch.setattr(RecordsAction, "held", lambda *given: 1 / 0)
        page = seen(self.credit("1"))
        assert "5.00" in page.text
        assert "credit in" not in page.text


class TestTheTablePage:
    @pytest.fixture(autouse=True)
    def connected(self, crm):
        crm.execute(VISITS + "INSERT INTO visits (id, customer_id) VALUES (1, 1);")
        crm.connect()
        if crm.role:
            crm.execute(f'GRANT SELECT ON visits TO "{crm.role}";')
        self.crm, self.browser = crm, paulas_browser()

    def keep(self, **more):
        seen = seen_in(sent(self.browser, TABLE, **CHOSEN | more))
        return self.browser.post(TABLE, {**CHOSEN, **more, "seen": seen})

    def test_keeps_labels_and_what_a_column_refers_to_with_the_description(self):
        assert self.keep().url == "/databases/crm/"
        wiring.refresh()
        columns = tables.get("crm.visits").columns
        assert columns["state"].value_labels == {"new": "Not begun", "done": "Over"}
        assert columns["customer_id"].refers_to == "customers.id"
        assert columns["state"].refers_to == ""

    def test_shows_again_what_was_kept(self):
        self.keep()
        page = Page(self.browser.get(TABLE))
        assert "done = Over\nnew = Not begun" in page.inside("textarea")
        assert "Holds keys of customers.id" in page.text

    @pytest.mark.parametrize(
        ("typed", "told"),
        [
            ("new = Begun\nover", "Line 2: there is no ="),
            ("\n\nnew =", "Line 3: there is no label after the ="),
            ("= Begun", "Line 1: there is no value before the ="),
            ("new = A\ndone = B\nnew = C", "Line 3: this value has a label already, in line 1"),
            ("new = " + "x" * 101, "Line 1: a value of at most 200 characters and a label"),
            ("new = Be\u202egun", "U+202E"),
            ("new = Be\u2028gun", "Line 1"),
            ("\n".join(f"{n} = x" for n in range(101)), "101 lines; 100 values can have a label"),
        ],
    )
    def test_names_the_line_that_is_wrong_and_keeps_nothing(self, typed, told):
        answer = self.browser.post(TABLE, CHOSEN | {"state-labels": typed})
        assert answer.status_code == 422
        assert told in Page(answer).text
        assert typed.split("\n")[-1][:5] in Page(answer).inside("textarea")
        assert not DescribedTable.objects.exists()

    @pytest.mark.parametrize(
        ("field", "typed", "told"),
        [
            ("rank", "first = First", "Line 1: first is not a whole number"),
            ("rank", "01 = First", "Line 1: 01 is not a whole number"),
            ("is_paid", "yes = Paid", "Line 1: yes is not true or false"),
        ],
    )
    def test_takes_labels_only_for_values_as_they_are_stored(self, field, typed, told):
        answer = self.browser.post(
            TABLE, CHOSEN | {f"{field}-writable": "on", f"{field}-labels": typed}
        )
        assert answer.status_code == 422
        assert told in Page(answer).text
        assert not DescribedTable.objects.exists()

    def test_says_that_a_moment_takes_no_labels(self):
        if self.crm.engine != "sqlite":
            pytest.skip("a text that could be a moment")
        given = {"state-kind": "timestamp", "state-labels": "new = Begun"}
        answer = self.browser.post(TABLE, CHOSEN | given)
        assert "shown as they are" in Page(answer).text


class TestWhatAColumnRefersTo:
    @pytest.fixture(autouse=True)
    def connected(self, crm):
        self.crm, self.database = crm, crm.connect()

    def found(self, ddl, table="t") -> dict[str, str]:
        self.crm.execute(ddl)
        columns = inspection.columns_of(self.database, table)
        return {one.name: one.refers_to for one in columns if one.refers_to}

    def test_is_told_by_the_database_with_or_without_the_key_by_name(self):
        ddl = "CREATE TABLE t (a integer REFERENCES customers, b integer REFERENCES customers(id));"
        assert self.found(ddl) == {"a": "customers.id", "b": "customers.id"}

    def test_is_told_as_the_other_table_spells_itself(self):
        ddl = "CREATE TABLE t (a integer REFERENCES CUSTOMERS (ID));"
        assert self.found(ddl) == {"a": "customers.id"}

    def test_is_no_part_of_a_longer_key(self):
        self.crm.execute("CREATE TABLE pairs (x integer, y integer, PRIMARY KEY (x, y));")
        ddl = "CREATE TABLE t (a integer, b integer, FOREIGN KEY (a, b) REFERENCES pairs (x, y));"
        assert self.found(ddl) == {}

    def test_is_nothing_whose_name_could_not_be_described(self):
        self.crm.execute('CREATE TABLE "odd\u202e.name" (id integer PRIMARY KEY);')
        assert self.found('CREATE TABLE t (a integer REFERENCES "odd\u202e.name" (id));') == {}
