"""Databases connected by people: what is refused, what a test says, and who learns of a change."""

import threading
from urllib.parse import urlsplit

import pytest
from django.core.exceptions import ValidationError
from django.db import connection, connections, transaction

from ledger.models import LedgerEntry
from proposals import execution, services, settling
from proposals.actions import tables
from proposals.checks import definition_of
from proposals.exceptions import InvalidParams, InvalidRequest, NotEligible, NotFound
from proposals.lifecycle import Status
from proposals.models import Database, Execution, Wiring
from proposals.registry import registry
from proposals.rounds import Rounds
from proposals.targets import inspection, wiring
from tests import factories
from tests.factories import fresh, make_checked, make_person, work
from tests.shop_fixture import server
from tests.target_fixture import DEFINITION, PASSWORD, Crm, paula

pytestmark = pytest.mark.django_db
UPDATE = "records.update"
MOVE = {"table": "crm.customers", "key": "1", "set": {"city": "Graz"}}


@pytest.fixture
def connected(crm):
    crm.connect()
    crm.describe()
    return crm


def moving(**more):
    return make_checked(action=UPDATE, params=MOVE, **more)


def found(report, kind):
    return " ".join(line.text for line in report.lines if line.kind == kind)


class TestConnecting:
    def test_takes_the_right_by_name_whatever_else_somebody_is(self, crm):
        for person in (
            make_person("rita"),
            make_person("olga", groups=["operators"]),
            make_person("boss", groups=["auditors"], is_superuser=True),
        ):
            with pytest.raises(NotEligible):
                crm.connect(person)
        assert not Database.objects.exists()

    @pytest.mark.parametrize("name", ["default", "shop"])
    def test_refuses_a_name_that_the_settings_use(self, crm, name):
        with pytest.raises(InvalidRequest, match="taken"):
            crm.connect(name=name)

    def test_refuses_the_products_own_database(self, crm, tmp_path):
        own = connection.settings_dict
        if connection.vendor == "sqlite":
            link = tmp_path / "innocent.sqlite3"
            link.symlink_to(own["NAME"])
            places = [{"engine": "sqlite", "database": str(name)} for name in (own["NAME"], link)]
        else:
            port = int(own["PORT"] or 5432)
            common = {"engine": "postgresql", "database": own["NAME"], "user": "a", "port": port}
            places = [{**common, "host": host} for host in ("127.0.0.1", "localhost")]
        for place in places:
            with pytest.raises(InvalidRequest, match="own database"):
                services.connect_database(
                    database=Database(name="crm", tls="disable", **place),
                    password="",
                    person=paula(),
                )

    def test_shows_no_table_of_a_countersign_under_whatever_address(self, bare_crm):
        bare_crm.execute("CREATE TABLE ledger_ledgerentry (id integer);")
        owner = urlsplit(server()).username
        fields = bare_crm.fields() | ({"user": owner} if bare_crm.role else {})
        database = services.connect_database(
            database=Database(name="crm", **fields), password="", person=paula()
        )
        with pytest.raises(inspection.Unreachable, match="own database"):
            inspection.tables_of(database)
        assert "own database" in found(inspection.look(database), "bad")

    @pytest.mark.parametrize(
        ("fields", "field"),
        [
            ({"engine": "sqlite", "database": "relative.db"}, "database"),
            ({"engine": "sqlite", "database": "/nowhere/at/all.db"}, "database"),
            ({"engine": "postgresql", "database": "crm", "user": "a"}, "host"),
            ({"engine": "postgresql", "database": "crm", "host": "db"}, "user"),
            (
                {"engine": "postgresql", "database": "crm", "host": "db", "user": "a", "port": 0},
                "port",
            ),
        ],
    )
    def test_names_the_field_that_could_never_work(self, fields, field):
        with pytest.raises(ValidationError) as refusal:
            services.connect_database(
                database=Database(name="crm", **{"tls": "require"} | fields),
                password="",
                person=paula(),
            )
        assert field in refusal.value.message_dict

    def test_asks_for_the_password_again_where_it_would_be_sent_elsewhere(self):
        place = {"host": "127.0.0.1", "port": 1, "database": "crm", "user": "a", "tls": "disable"}
        database = Database(name="crm", engine="postgresql", **place)
        services.connect_database(database=database, password=PASSWORD, person=paula())
        moved = {"host": "127.0.0.2", "user": "other", "port": 2, "tls": "require"}
        for field, value in moved.items():
            with pytest.raises(InvalidRequest, match="again"):
                services.change_database(
                    name="crm", changes=place | {field: value}, password="", person=paula()
                )
        services.change_database(name="crm", changes=place, password="", person=paula())
        found = Database.objects.get()
        assert (found.host, found.password_version) == ("127.0.0.1", 1)

    def test_every_change_has_its_ledger_entry_and_history(self, connected):
        services.switch_table(database="crm", name="customers", is_enabled=False, person=paula())
        services.switch_database(name="crm", is_enabled=False, person=paula())
        services.switch_database(name="crm", is_enabled=False, person=paula())
        told = LedgerEntry.objects.filter(stream__startswith="database:").order_by("number")
        assert [entry.kind for entry in told] == [
            "database.connected",
            "table.described",
            "table.disabled",
            "database.disabled",
        ]
        assert Database.history.count() == 2


class TestTheTest:
    def test_says_what_is_good_and_what_is_missing(self, bare_crm, crm):
        report = inspection.look(crm.connect())
        assert "Reached" in found(report, "good")
        assert "receipt table is there" in found(report, "good")
        assert report.is_usable
        crm.execute("DROP TABLE countersign_receipts;")
        report = inspection.look(Database.objects.get())
        assert "countersign_receipts is missing" in found(report, "bad")
        assert not report.is_usable

    def test_warns_of_a_role_that_can_do_too_much(self, crm):
        if not crm.role:
            report = inspection.look(crm.connect())
            assert "no roles" in found(report, "warning")
            return
        database = crm.connect()
        assert not found(inspection.look(database), "warning")
        assert "machine itself" in found(inspection.look(database), "note")
        crm.execute(
            f'GRANT DELETE, TRUNCATE ON customers TO "{crm.role}";'
            f'ALTER TABLE notes OWNER TO "{crm.role}"; ALTER ROLE "{crm.role}" CREATEDB;'
        )
        told = found(inspection.look(database), "warning")
        for words in ("DELETE from customers", "TRUNCATE customers", "owns notes", "CREATEDB"):
            assert words in told
        crm.execute(f'ALTER ROLE "{crm.role}" SUPERUSER;')
        assert "superuser" in found(inspection.look(database), "warning")
        crm.execute(f'ALTER ROLE "{crm.role}" NOSUPERUSER;')
        crm.execute(f'REASSIGN OWNED BY "{crm.role}" TO CURRENT_USER;')
        crm.execute(f'DROP OWNED BY "{crm.role}";')

    def test_tells_in_a_sentence_why_it_is_out_of_reach(self, crm):
        database = crm.connect()
        if crm.role:
            Database.objects.update(port=1)
        else:
            Database.objects.update(database="/nowhere/at/all.db")
        database.refresh_from_db()
        report = inspection.look(database)
        assert "cannot be reached" in found(report, "bad")
        assert PASSWORD not in str(report)

    def test_writes_nothing_even_if_the_statement_would(self, crm):
        database = crm.connect()
        with (
            pytest.raises(inspection.Unreachable),
            inspection.opened(database) as cursor,
        ):
            cursor.execute("UPDATE countersign_receipts SET state = 'void'")


class TestWriting:
    def test_goes_the_whole_way_on_a_table_chosen_a_moment_ago(self, connected):
        proposal = moving()
        assert proposal.status == Status.PENDING
        assert proposal.current_check.sentence == "Change city of customer 1 to Graz"
        assert proposal.tier == "medium"
        factories.approve(proposal)
        work()
        assert connected.city() == "Graz"
        services.undo(proposal_id=proposal.pk, person=make_person(), reason="A mix-up.")
        work()
        assert connected.city() == "Porto"

    def test_creates_and_archives_as_described(self, connected):
        made = make_checked(
            action="records.create",
            params={"table": "crm.customers", "values": {"name": "Cy Ott"}},
        )
        factories.approve(made)
        work()
        key = fresh(made).result["key"]
        gone = make_checked(action="records.archive", params={"table": "crm.customers", "key": key})
        factories.approve(gone)
        work()
        assert connected.rows(f"SELECT archived_at FROM customers WHERE id = {key}")[0][0]

    @pytest.mark.parametrize(
        "params",
        [
            MOVE | {"table": "crm.notes", "set": {"body": "x"}},
            MOVE | {"set": {"photo": "x"}},
            MOVE | {"set": {"currency": "USD"}},
            MOVE | {"set": {"city": "Elsewhere"}},
        ],
    )
    def test_knows_nothing_that_was_not_chosen(self, connected, params):
        with pytest.raises(InvalidParams):
            factories.make_proposal(action=UPDATE, params=params)

    def test_is_refused_for_what_does_not_fit_together(self, crm):
        crm.connect()
        for changes in (
            {"archive_column": "city"},
            {"label_column": "nowhere"},
            {"key": "name"},
            {"colour": "blue"},
            {"columns": {"name; DROP TABLE x": {"writable": True}}},
        ):
            with pytest.raises(InvalidRequest):
                services.describe_table(
                    database="crm",
                    name="customers",
                    definition=DEFINITION | changes,
                    person=paula(),
                )
        with pytest.raises(NotFound):
            services.describe_table(
                database="other", name="customers", definition=DEFINITION, person=paula()
            )


class TestSwitchingOff:
    """Stops what was not checked, what was approved, and what was claimed; people look."""

    def stop(self, person=None, what="table"):
        if what == "table":
            return services.switch_table(
                database="crm", name="customers", is_enabled=False, person=person or paula()
            )
        return services.switch_database(name="crm", is_enabled=False, person=person or paula())

    @pytest.mark.parametrize("what", ["table", "database"])
    def test_before_the_check_leaves_it_to_people(self, connected, what):
        proposal = factories.make_proposal(action=UPDATE, params=MOVE)
        self.stop(what=what)
        work()
        check = fresh(proposal).current_check
        assert fresh(proposal).status == Status.PENDING
        assert "switched off" in check.error
        assert not check.is_approvable

    @pytest.mark.parametrize("what", ["table", "database"])
    def test_after_the_approval_writes_nothing(self, connected, what):
        proposal = moving()
        factories.approve(proposal)
        self.stop(what=what)
        work()
        assert fresh(proposal).status == Status.PENDING
        assert connected.city() == "Porto"
        assert connected.rows("SELECT count(*) FROM countersign_receipts") == [(0,)]

    def test_is_seen_by_the_claim_before_it_counts_against_anything(self, connected):
        factories.approve(moving())
        self.stop()
        claim = execution.take(Execution.objects.get().pk)
        assert claim.refusal == execution.DESCRIBED_ANEW

    @pytest.mark.parametrize("what", ["table", "database"])
    def test_after_the_claim_writes_nothing(self, connected, what):
        proposal = moving()
        factories.approve(proposal)
        claim = execution.take(Execution.objects.get().pk)
        self.stop(what=what)
        assert execution.intend(claim) is False
        assert Execution.objects.get().status == Execution.Status.RETURNED
        work()
        assert fresh(proposal).status == Status.PENDING
        assert connected.city() == "Porto"

    def test_after_the_intent_ends_as_failed_with_its_key_voided(self, connected):
        proposal = moving()
        factories.approve(proposal)
        claim = execution.take(Execution.objects.get().pk)
        assert execution.intend(claim)
        self.stop()
        wiring.refresh()
        with pytest.raises(Exception, match="switched off") as refusal:
            execution.apply(claim)
        settling.close_unapplied(claim, settling.fail, str(refusal.value))
        assert fresh(proposal).status == Status.FAILED
        assert connected.rows("SELECT state FROM countersign_receipts") == [("void",)]

    def test_what_waits_is_checked_again_when_it_is_on_again(self, connected):
        proposal = moving()
        self.stop()
        assert Rounds().recheck_for_new_tables() == 1
        work()
        assert fresh(proposal).current_check.error
        assert Rounds().recheck_for_new_tables() == 0, "once is enough"
        services.switch_table(database="crm", name="customers", is_enabled=True, person=paula())
        assert Rounds().recheck_for_new_tables() == 1
        work()
        assert not fresh(proposal).current_check.error
        assert Rounds().recheck_for_new_tables() == 0

    def test_is_easy_and_starting_again_takes_more(self, connected):
        rita = make_person("rita")
        self.stop(rita)
        for again in (
            lambda: services.switch_table(
                database="crm", name="customers", is_enabled=True, person=rita
            ),
            lambda: services.switch_database(name="crm", is_enabled=True, person=rita),
        ):
            with pytest.raises(NotEligible):
                again()
        with pytest.raises(NotEligible):
            self.stop(make_person("amir", groups=["auditors"]), what="database")


class TestAChangedDescription:
    def test_a_dearer_tier_takes_back_an_approval_that_was_given_for_less(self, connected):
        proposal = moving()
        factories.approve(proposal)
        connected.describe(tier="high")
        work()
        assert fresh(proposal).status == Status.PENDING
        assert fresh(proposal).tier == "high"
        assert connected.city() == "Porto"

    def test_another_label_keeps_the_approval(self, connected):
        proposal = moving()
        factories.approve(proposal)
        columns = DEFINITION["columns"] | {"name": {"writable": True, "label": "Full name"}}
        connected.describe(columns=columns)
        work()
        assert fresh(proposal).status == Status.COMMITTED
        assert connected.city() == "Graz"

    def test_what_waits_is_checked_again(self, connected):
        proposal = moving()
        connected.describe(tier="low")
        assert Rounds().recheck_for_new_tables() == 1
        work()
        assert fresh(proposal).current_check.tier == "low"
        assert fresh(proposal).status == Status.PENDING, "what waits for people keeps waiting"

    def test_actions_that_know_no_table_are_left_alone(self, connected, toybox):
        proposal = make_checked(params=factories.painting(tier="medium"))
        connected.describe(tier="low")
        assert Rounds().recheck_for_new_tables() == 0
        assert definition_of(proposal.action, {}) is None


class TestOtherProcesses:
    """A process knows what it knows until it looks; every look is one small statement."""

    def test_learn_of_a_change_at_their_next_look(self, connected):
        wiring.refresh()
        assert "crm.customers" in tables.tables()
        services.switch_table(database="crm", name="customers", is_enabled=False, person=paula())
        assert "crm.customers" in tables.tables(), "nobody has told this process yet"
        wiring.refresh()
        assert "crm.customers" not in tables.tables()
        assert "crm.customers" not in str(registry.get(UPDATE).schema())

    def test_look_with_one_statement_while_nothing_changes(
        self, connected, django_assert_num_queries
    ):
        wiring.refresh()
        with django_assert_num_queries(1):
            wiring.refresh()

    def test_are_not_fooled_by_a_change_that_was_rolled_back(self, connected):
        wiring.refresh()
        former = Wiring.objects.get().token
        with transaction.atomic():
            connected.describe(tier="low")
            wiring.refresh()
            assert tables.get("crm.customers").columns["name"].tier == "low"
            transaction.set_rollback(True)
        assert Wiring.objects.get().token == former
        wiring.refresh()
        assert tables.get("crm.customers").columns["name"].tier == "medium"

    def test_use_a_new_connection_once_the_place_has_moved(self, connected, tmp_path):
        work()
        moving()
        former = connections["crm"].connection
        other = Crm("sqlite", str(tmp_path / "other.sqlite3")) if not connected.role else connected
        if connected.role:
            changes = connected.fields() | {"host": "localhost"}
        else:
            other.execute("CREATE TABLE customers (id integer);")
            changes = other.fields() | {"port": None}
        services.change_database(
            name="crm", changes=changes, password=PASSWORD if connected.role else "", person=paula()
        )
        make_checked(action=UPDATE, params=MOVE, key="again")
        assert connections["crm"].connection is not former

    def test_walk_over_all_databases_while_others_come_and_go(self, connected):
        """What Django does after each request must not fail because another thread connects one."""
        wiring.refresh()
        faults: list[Exception] = []
        stop = threading.Event()

        def walk():
            while not stop.is_set():
                try:
                    connections.all(initialized_only=True)
                except RuntimeError as error:
                    faults.append(error)

        walker = threading.Thread(target=walk)
        walker.start()
        token = Wiring.objects.get().token
        for _ in range(50):
            wiring.forget()
            wiring.load(token)
        stop.set()
        walker.join()
        assert not faults


def test_a_role_made_by_the_shown_sql_can_do_no_more(crm):
    if not crm.role:
        pytest.skip("SQLite has no roles.")
    crm.connect()
    crm.describe()
    wiring.refresh()
    for statement in (
        "DELETE FROM customers",
        "UPDATE customers SET currency = 'USD'",
        "SELECT photo FROM customers",
        "SELECT * FROM notes",
        "DELETE FROM countersign_receipts",
    ):
        with (
            pytest.raises(Exception, match="permission denied"),
            connections["crm"].cursor() as one,
        ):
            one.execute(statement)
