"""The records actions: written once, refused whole, taken back exactly."""

import pytest
from django.db import OperationalError, connections
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proposals.actions import receipts, rows
from proposals.exceptions import StaleTarget, TargetRefused, VoidedKey
from proposals.lifecycle import Status
from tests.factories import approve, fresh, make_agent, make_checked, work
from tests.shop_calls import (
    ARCHIVE,
    CREATE,
    DRAFT,
    RESTORE,
    UPDATE,
    everything,
    refund,
    status_of,
    undo,
    write,
)


class TestApply:
    def test_the_same_key_again_returns_the_first_outcome(self, shop, paid):
        seen = UPDATE.preview(refund(paid[0]))
        first = UPDATE.apply(refund(paid[0]), key="k1", expected=seen.before)
        shop.execute("UPDATE orders SET status = 'shipped' WHERE id = %s", [int(paid[0])])
        again = UPDATE.apply(refund(paid[0]), key="k1", expected=seen.before)
        assert again == first
        assert status_of(shop, paid[0]) == "shipped"

    def test_a_target_that_moved_is_left_alone(self, shop, paid):
        seen = UPDATE.preview(refund(*paid[:3]))
        shop.execute("UPDATE orders SET status = 'cancelled' WHERE id = %s", [int(paid[2])])
        before = everything(shop)
        with pytest.raises(StaleTarget) as refusal:
            UPDATE.apply(refund(*paid[:3]), key="k1", expected=seen.before)
        assert refusal.value.found[paid[2]] == {"status": "cancelled"}
        assert everything(shop) == before

    @pytest.mark.parametrize("expected", [{}, {"new": None}])
    def test_without_the_approved_image_nothing_is_written(self, shop, paid, expected):
        with pytest.raises(StaleTarget):
            UPDATE.apply(refund(paid[0]), key="k1", expected=expected)
        assert status_of(shop, paid[0]) == "paid"

    def test_a_row_that_vanished_is_a_target_that_moved(self, shop):
        params = {"table": "shop.drafts", "key": "5", "set": {"subject": "x"}}
        seen = UPDATE.preview(params)
        shop.execute("DELETE FROM drafts WHERE id = 5")
        with pytest.raises(StaleTarget) as refusal:
            UPDATE.apply(params, key="k1", expected=seen.before)
        assert refusal.value.found == {"5": None}

    def test_a_row_that_was_archived_since_is_a_target_that_moved(self, shop):
        """The column that marks it is none of those that people approved."""
        params = {"table": "shop.drafts", "key": "5", "set": {"subject": "x"}}
        seen = UPDATE.preview(params)
        write(ARCHIVE, {"table": "shop.drafts", "key": "5"}, "k1")
        before = everything(shop)
        with pytest.raises(StaleTarget):
            UPDATE.apply(params, key="k2", expected=seen.before)
        assert everything(shop) == before

    def test_what_the_tables_as_described_now_do_not_allow_is_refused(self, shop, paid):
        """It was valid when it was proposed; the list of values has become shorter since."""
        params = {"table": "shop.orders", "key": paid[0], "set": {"status": "mislaid"}}
        with pytest.raises(TargetRefused, match="does not fit the described tables at /params/set"):
            UPDATE.apply(params, key="k1", expected={paid[0]: {"status": "paid"}})
        assert status_of(shop, paid[0]) == "paid"

    def test_a_violated_constraint_is_a_clean_refusal(self, shop):
        params = {"table": "shop.drafts", "values": {**DRAFT, "order_id": 999_999}}
        before = everything(shop)
        with pytest.raises(TargetRefused, match="shop refuses it") as refusal:
            write(CREATE, params)
        assert "999999" not in str(refusal.value)
        assert everything(shop) == before

    def test_a_number_too_large_for_its_column_is_refused(self, shop):
        if connections["shop"].vendor != "postgresql":
            pytest.skip("SQLite has no smaller integers")
        with pytest.raises(TargetRefused, match="does not fit its column"):
            write(CREATE, {"table": "shop.drafts", "values": {**DRAFT, "order_id": 2**40}})

    def test_what_the_database_alters_is_not_kept(self, shop, paid):
        set_note = "UPDATE orders SET note = 'altered' WHERE id = NEW.id"
        if connections["shop"].vendor == "postgresql":
            shop.execute(
                "CREATE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql AS "
                "$$ BEGIN NEW.note := 'altered'; RETURN NEW; END $$"
            )
            shop.execute(
                "CREATE TRIGGER meddling BEFORE UPDATE ON orders "
                "FOR EACH ROW EXECUTE FUNCTION meddle()"
            )
        else:
            shop.execute(
                f"CREATE TRIGGER meddling AFTER UPDATE OF note ON orders BEGIN {set_note}; END"
            )
        params = {"table": "shop.orders", "key": paid[0], "set": {"note": "mine"}}
        before = everything(shop)
        with pytest.raises(TargetRefused, match="something else than was approved"):
            write(UPDATE, params)
        assert everything(shop) == before

    def test_a_database_without_receipts_is_not_written_to(self, shop, paid):
        seen = UPDATE.preview(refund(paid[0]))
        shop.execute("DROP TABLE countersign_receipts")
        with pytest.raises(TargetRefused, match=r"countersign_receipts.*docs/tables\.md"):
            UPDATE.apply(refund(paid[0]), key="k1", expected=seen.before)
        assert status_of(shop, paid[0]) == "paid"
        receipts.ensure("shop")
        UPDATE.apply(refund(paid[0]), key="k1", expected=seen.before)
        assert status_of(shop, paid[0]) == "refunded"

    def test_an_unexpected_end_is_left_unknown(self, shop, paid, monkeypatch):
        def break_down(*args):
            raise OperationalError("server closed the connection unexpectedly")

        seen = UPDATE.preview(refund(paid[0]))
        monkeypatch.setattr(rows, "change", break_down)
        with pytest.raises(OperationalError):
            UPDATE.apply(refund(paid[0]), key="k1", expected=seen.before)

    def test_a_created_row_is_named_and_complete(self, shop):
        outcome = write(CREATE, {"table": "shop.drafts", "values": DRAFT})
        key = outcome.result["key"]
        stored = shop.rows(
            "SELECT order_id, subject, body, state, archived_at FROM drafts WHERE id = %s",
            [int(key)],
        )
        assert stored == [(1, "Hello", "Text", "open", None)]
        assert outcome.after == {key: DRAFT}


@pytest.mark.django_db
class TestBetweenApprovalAndWrite:
    """Orders are the target; Rita approves a refund, and somebody else is at the shop as well."""

    @pytest.fixture
    def approved(self, shop, paid):
        proposal = make_checked(
            agent=make_agent("shop-assistant", grants=["records.*"]),
            action="records.update",
            params=refund(paid[0]),
        )
        assert proposal.status == Status.PENDING
        return approve(proposal)

    def test_a_change_to_another_column_of_the_row_stops_nothing(self, approved, shop, paid):
        shop.execute("UPDATE orders SET note = 'Ring twice.' WHERE id = %s", [int(paid[0])])
        work()
        assert fresh(approved).status == Status.COMMITTED
        left = shop.rows(f"SELECT status, note FROM orders WHERE id = {paid[0]}")
        assert left == [("refunded", "Ring twice.")]

    def test_a_change_to_an_approved_column_stops_the_write(self, approved, shop, paid):
        shop.execute("UPDATE orders SET status = 'shipped' WHERE id = %s", [int(paid[0])])
        work()
        assert fresh(approved).status == Status.PENDING
        assert status_of(shop, paid[0]) == "shipped"


class TestVoid:
    def test_a_voided_key_never_applies(self, shop, paid):
        seen = UPDATE.preview(refund(paid[0]))
        assert UPDATE.void(refund(paid[0]), key="k1") is None
        assert UPDATE.void(refund(paid[0]), key="k1") is None
        with pytest.raises(VoidedKey):
            UPDATE.apply(refund(paid[0]), key="k1", expected=seen.before)
        assert status_of(shop, paid[0]) == "paid"

    def test_voiding_what_was_applied_returns_its_outcome(self, shop, paid):
        outcome = write(UPDATE, refund(paid[0]))
        assert UPDATE.void(refund(paid[0]), key="k1") == outcome

    def test_a_key_can_be_voided_after_its_table_left_the_files(self, shop):
        gone = {"table": "shop.forgotten", "key": "1", "set": {"x": 1}}
        assert UPDATE.void(gone, key="k1") is None
        with pytest.raises(VoidedKey):
            UPDATE.apply(gone, key="k1", expected={})
        with pytest.raises(TargetRefused):
            UPDATE.apply(gone, key="k2", expected={})

    def test_the_products_own_database_is_no_target(self, shop):
        with pytest.raises(TargetRefused):
            UPDATE.void({"table": "default.auth_user", "key": "1"}, key="k1")


class TestUndo:
    def test_an_update_is_put_back_and_forth(self, shop, paid):
        first = write(UPDATE, refund(*paid[:2]), "k1")
        second = undo(first, "k2")
        assert [status_of(shop, key) for key in paid[:2]] == ["paid", "paid"]
        undo(second, "k3")
        assert [status_of(shop, key) for key in paid[:2]] == ["refunded", "refunded"]

    def test_an_archived_row_comes_back(self, shop):
        archived = "SELECT archived_at FROM drafts WHERE id = 7"
        first = write(ARCHIVE, {"table": "shop.drafts", "key": "7"}, "k1")
        assert shop.rows(archived)[0][0] is not None
        second = undo(first, "k2")
        assert shop.rows(archived)[0][0] is None
        undo(second, "k3")
        assert shop.rows(archived)[0][0] is not None

    def test_a_created_row_is_archived_and_not_deleted(self, shop):
        made = write(CREATE, {"table": "shop.drafts", "values": DRAFT}, "k1")
        back = undo(made, "k2")
        key = int(made.result["key"])
        [(subject, archived_at)] = shop.rows(
            "SELECT subject, archived_at FROM drafts WHERE id = %s", [key]
        )
        assert subject == "Hello"
        assert archived_at is not None
        undo(back, "k3")
        assert shop.rows("SELECT archived_at FROM drafts WHERE id = %s", [key]) == [(None,)]

    def test_a_later_change_is_a_conflict_and_not_trampled_on(self, shop, paid):
        first = write(UPDATE, refund(paid[0]), "k1")
        shop.execute("UPDATE orders SET status = 'shipped' WHERE id = %s", [int(paid[0])])
        call = first.compensation
        seen = RESTORE.preview(call.params)
        [conflict] = seen.conflicts
        assert (conflict.object, conflict.field) == (paid[0], "status")
        assert (conflict.expected, conflict.found) == ("refunded", "shipped")
        with pytest.raises(StaleTarget):
            RESTORE.apply(call.params, key="k2", expected=seen.before)
        assert status_of(shop, paid[0]) == "shipped"
        over = RESTORE.over_conflicts(call.params, seen.conflicts)
        write(RESTORE, RESTORE.validate(over), "k3")
        assert status_of(shop, paid[0]) == "paid"

    def test_a_created_row_that_somebody_edited_is_a_conflict(self, shop):
        made = write(CREATE, {"table": "shop.drafts", "values": DRAFT}, "k1")
        shop.execute("UPDATE drafts SET body = 'Edited' WHERE id = %s", [int(made.result["key"])])
        seen = RESTORE.preview(made.compensation.params)
        assert [conflict.field for conflict in seen.conflicts] == ["body"]

    def test_a_value_that_could_not_be_written_now_can_be_put_back(self, shop):
        shop.execute("UPDATE prices SET amount = '5.00' WHERE id = 1")
        long_note = "x" * 900
        shop.execute("UPDATE orders SET note = %s WHERE id = 1", [long_note])
        first = write(UPDATE, {"table": "shop.orders", "key": "1", "set": {"note": "short"}}, "k1")
        undo(first, "k2")
        assert shop.rows("SELECT note FROM orders WHERE id = 1") == [(long_note,)]

    def test_a_text_that_reads_like_the_moment_of_commit_stays_a_text(self, shop):
        shop.execute("UPDATE orders SET note = %s WHERE id = 1", [rows.AT_COMMIT])
        first = write(UPDATE, {"table": "shop.orders", "key": "1", "set": {"note": "other"}}, "k1")
        undo(first, "k2")
        assert shop.rows("SELECT note FROM orders WHERE id = 1") == [(rows.AT_COMMIT,)]

    def test_a_compensation_is_what_restoring_accepts(self, shop, paid):
        for key, (action, params) in enumerate(
            [
                (UPDATE, refund(*paid[:2])),
                (UPDATE, {"table": "shop.prices", "key": "3", "set": {"amount": "1.10"}}),
                (CREATE, {"table": "shop.drafts", "values": DRAFT}),
                (ARCHIVE, {"table": "shop.drafts", "key": "9"}),
            ]
        ):
            call = write(action, params, f"k{key}").compensation
            assert RESTORE.validate(call.params) == call.params


texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=60)
changes = st.one_of(
    st.fixed_dictionaries(
        {},
        optional={
            "status": st.sampled_from(["paid", "shipped", "refunded", "cancelled"]),
            "note": st.none() | texts,
        },
    )
    .filter(bool)
    .map(lambda values: ("shop.orders", values)),
    st.decimals("0", "99999", places=2).map(
        lambda amount: ("shop.prices", {"amount": f"{amount:f}"})
    ),
    st.fixed_dictionaries({"subject": texts, "body": texts}).map(
        lambda values: ("shop.drafts", values)
    ),
)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(change=changes, keys=st.sets(st.integers(1, 150), min_size=1, max_size=5))
def test_applying_and_compensating_restores_exactly(shop, change, keys):
    table, values = change
    stored = table.partition(".")[2]
    params = UPDATE.validate(
        {"table": table, "keys": [str(key) for key in sorted(keys)], "set": values}
    )
    before = shop.rows(f"SELECT * FROM {stored} ORDER BY id")
    taken = shop.rows("SELECT count(*) FROM countersign_receipts")[0][0]
    outcome = write(UPDATE, params, f"p{taken}")
    undo(outcome, f"p{taken + 1}")
    assert shop.rows(f"SELECT * FROM {stored} ORDER BY id") == before
