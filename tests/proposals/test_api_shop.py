"""The contract on the demonstration shop: the examples of the contract, and the tiers it names."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from proposals import defaults, services
from proposals.demonstration import people
from proposals.models import Proposal
from tests.contract import assert_documented, assert_problem, assert_proposal, rows
from tests.factories import approve, client_for, make_agent, make_person, new_key, work

pytestmark = pytest.mark.django_db


@pytest.fixture
def agent(shop):
    """The shop's own agent, under the rules that the demonstration starts with."""
    defaults.ensure()
    defaults.add_rules(people.RULES)
    return client_for(make_agent("shop-assistant", grants=["records.*"]))


def ids(shop, condition, table="orders", count=1):
    found = shop.rows(f"SELECT id FROM {table} WHERE {condition} ORDER BY id LIMIT {count}")
    assert len(found) == count
    return [str(row[0]) for row in found]


def propose(agent, action="records.update", **params):
    response = agent.propose(action=action, params=params, run=new_key())
    proposed = assert_proposal(response, 201)
    work()
    return assert_proposal(agent.get(f"/proposals/{proposed['id']}"))


def update(agent, table, key, **values):
    return propose(agent, table=table, key=key, set=values)


class TestTheExample:
    def test_it_is_accepted_as_it_is_printed_and_waits_for_a_reviewer(self, agent, shop):
        [order] = ids(shop, "status = 'paid'")
        response = agent.post(
            "/proposals",
            {
                "action": "records.update",
                "params": {"table": "shop.orders", "key": order, "set": {"status": "refunded"}},
                "run": "support-2026-11-22-0017",
                "rationale": "Customer reports a duplicate charge; ticket 8812.",
                "evidence": [
                    {
                        "kind": "record",
                        "title": f"shop.orders/{order}",
                        "content": {"status": "paid"},
                        "retrieved_at": "2026-11-22T09:58:03Z",
                    },
                    {
                        "kind": "document",
                        "title": "Refund policy",
                        "uri": "kb:refunds#3",
                        "content": "...",
                    },
                ],
                "context": {"model": "example-model-4", "prompt": "support-agent@17"},
                "expires_in": 86400,
            },
            key="order-42-refund-1",
        )
        assert_proposal(response, 201)
        work()
        shown = assert_proposal(agent.get(response["Location"]))
        assert (shown["status"], shown["tier"], shown["reversible"]) == ("pending", "medium", True)
        assert (shown["resource"], shown["delivery"]) == (f"shop.orders/{order}", "transactional")
        assert shown["change"] == {
            "before": {"status": "paid"},
            "after": {"status": "refunded"},
        }
        assert shown["impact"]["objects"] == 1
        assert shown["waiting_on"]["group"] == "reviewers"
        approve(Proposal.objects.get(pk=shown["id"]))
        work()
        done = assert_proposal(agent.get(response["Location"]))
        assert (done["status"], done["error"]) == ("committed", None)
        assert shop.rows(f"SELECT status FROM orders WHERE id = {order}") == [("refunded",)]
        undo = assert_proposal(agent.post(f"/proposals/{done['id']}/undo"), 201)
        work()
        assert agent.get(f"/proposals/{undo['id']}").json()["waiting_on"]["who"] == "people"
        approve(Proposal.objects.get(pk=undo["id"]))
        work()
        assert shop.rows(f"SELECT status FROM orders WHERE id = {order}") == [("paid",)]


class TestTiers:
    def test_notes_and_drafts_are_low_and_commit_by_themselves(self, agent, shop):
        [order] = ids(shop, "status = 'paid'")
        noted = update(agent, "shop.orders", order, note="Ring twice, please.")
        assert (noted["status"], noted["tier"]) == ("committed", "low")
        values = {"order_id": int(order), "subject": "Hello", "body": "On its way."}
        drafted = propose(agent, "records.create", table="shop.drafts", values=values)
        assert (drafted["status"], drafted["tier"]) == ("committed", "low")
        [draft] = ids(shop, "subject = 'Hello'", "drafts")
        archived = propose(agent, "records.archive", table="shop.drafts", key=draft)
        assert (archived["status"], archived["tier"]) == ("committed", "low")
        assert shop.rows(f"SELECT archived_at IS NULL FROM drafts WHERE id = {draft}")[0][0] in {
            False,
        }

    def test_a_price_is_medium_and_high_when_it_changes_by_more_than_half(self, agent, shop):
        [first, second] = ids(shop, "amount >= 10", "prices", 2)
        amount = shop.rows(f"SELECT amount FROM prices WHERE id = {first}")[0][0]
        little = update(agent, "shop.prices", first, amount=f"{float(amount) * 1.1:.2f}")
        assert (little["status"], little["tier"]) == ("pending", "medium")
        much = update(agent, "shop.prices", second, amount="99999.00")
        assert (much["status"], much["tier"]) == ("pending", "high")
        assert much["waiting_on"]["approvals_required"] == 2

    def test_more_than_ten_rows_are_high(self, agent, shop):
        keys = ids(shop, "status = 'paid'", count=11)
        ten = propose(agent, table="shop.orders", keys=keys[:10], set={"note": "Ten."})
        assert (ten["status"], ten["tier"]) == ("committed", "low")
        assert ten["impact"]["objects"] == 10
        eleven = propose(agent, table="shop.orders", keys=keys, set={"note": "Eleven."})
        assert (eleven["status"], eleven["tier"]) == ("pending", "high")

    def test_undoing_by_a_person_takes_nobody_else(self, agent, shop):
        [order] = ids(shop, "status = 'paid'")
        noted = update(agent, "shop.orders", order, note="Ring twice, please.")
        olga = make_person("olga", groups=["operators"])
        services.undo(proposal_id=noted["id"], person=olga, reason="Wrong order.")
        work()
        shown = agent.get(f"/proposals/{noted['id']}").json()
        assert shown["compensated_by"] is not None
        assert shop.rows(f"SELECT note FROM orders WHERE id = {order}") != [
            ("Ring twice, please.",)
        ]


class TestRefusing:
    @pytest.mark.parametrize(
        ("action", "params"),
        [
            ("records.update", {"table": "shop.customers", "key": "1", "set": {"city": "X"}}),
            ("records.update", {"table": "shop.nothing", "key": "1", "set": {"x": 1}}),
            ("records.update", {"table": "orders", "key": "1", "set": {"note": "x"}}),
            ("records.update", {"table": "shop.orders", "key": "1", "set": {"total": "1.00"}}),
            ("records.update", {"table": "shop.orders", "key": "1", "set": {"id": 2}}),
            ("records.update", {"table": "shop.orders", "key": "1", "set": {}}),
            ("records.update", {"table": "shop.orders", "key": "1", "set": {"status": "lost"}}),
            ("records.update", {"table": "shop.orders", "key": "1", "set": {"note": "x" * 501}}),
            ("records.update", {"table": "shop.orders", "key": 1, "set": {"note": "x"}}),
            ("records.update", {"table": "shop.orders", "key": "1; --", "set": {"note": "x"}}),
            ("records.update", {"table": "shop.orders", "key": "", "set": {"note": "x"}}),
            ("records.update", {"table": "shop.orders", "keys": [], "set": {"note": "x"}}),
            ("records.update", {"table": "shop.orders", "keys": ["1", "1"], "set": {"note": "x"}}),
            (
                "records.update",
                {
                    "table": "shop.orders",
                    "keys": [str(n) for n in range(101)],
                    "set": {"note": "x"},
                },
            ),
            ("records.update", {"table": "shop.orders", "set": {"note": "x"}}),
            (
                "records.update",
                {"table": "shop.orders", "key": "1", "keys": ["2"], "set": {"note": "x"}},
            ),
            ("records.update", {"table": "shop.prices", "key": "1", "set": {"amount": "1e3"}}),
            ("records.update", {"table": "shop.prices", "key": "1", "set": {"amount": "1.005"}}),
            ("records.update", {"table": "shop.prices", "key": "1", "set": {"amount": True}}),
            ("records.create", {"table": "shop.orders", "values": {"note": "x"}}),
            ("records.create", {"table": "shop.drafts", "values": {"subject": "x"}}),
            ("records.archive", {"table": "shop.orders", "key": "1"}),
            ("records.archive", {"table": "shop.drafts"}),
        ],
    )
    def test_what_is_not_on_the_list_does_not_exist(self, agent, action, params):
        before = rows()
        assert_problem(agent.propose(action=action, params=params), 400, "invalid-params")
        assert rows() == before

    def test_there_is_no_other_action(self, agent):
        names = {item["name"] for item in agent.get("/actions").json()["results"]}
        assert names == {"records.create", "records.update", "records.archive"}
        for action in ("records.delete", "records.restore", "records.*", "sql.run"):
            refused = agent.propose(action=action, params={"table": "shop.orders", "key": "1"})
            assert_problem(refused, 403, "action-not-granted")

    def test_a_row_that_is_not_there_changes_nothing(self, agent, shop):
        shown = update(agent, "shop.orders", "999999999", note="x")
        assert shown["status"] in {"pending", "denied", "failed"}
        assert shown["result"] is None

    def test_a_cancelled_order_is_not_refunded(self, agent, shop):
        [order] = ids(shop, "status = 'cancelled'")
        shown = update(agent, "shop.orders", order, status="refunded")
        assert (shown["status"], shown["waiting_on"]["who"]) == ("denied", None)
        assert shown["error"]["code"] == "denied-by-policy"
        assert "never paid out" in shown["error"]["detail"]
        assert shop.rows(f"SELECT status FROM orders WHERE id = {order}") == [("cancelled",)]


class TestMenu:
    def test_the_schema_lists_tables_and_columns_and_accepts_what_we_accept(self, agent, shop):
        menu = {item["name"]: item for item in agent.get("/actions").json()["results"]}
        for item in menu.values():
            Draft202012Validator.check_schema(item["schema"])
            assert (item["delivery"], item["reversible"]) == ("transactional", True)
        text = json.dumps(menu["records.update"]["schema"])
        for named in ("shop.orders", "shop.prices", "shop.drafts", "status", "note", "amount"):
            assert named in text
        for hidden in ("shop.customers", "email", "placed_at"):
            assert hidden not in text
        schema = Draft202012Validator(menu["records.update"]["schema"])
        fine = {"table": "shop.orders", "key": "1", "set": {"note": "x"}}
        assert schema.is_valid(fine)
        assert not schema.is_valid(fine | {"key": 1})
        assert not schema.is_valid(fine | {"where": "1=1"})
        assert not schema.is_valid(fine | {"set": {"total": "1.00"}})


columns = st.sampled_from(["status", "note", "amount", "subject", "body", "archived_at", "id", "x"])
anything = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**17), 10**17),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=12),
    st.sampled_from(["refunded", "12.50", "1e5", "-0", "0.005", "9" * 13, "open", "'; DROP"]),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=3), st.none(), max_size=2),
)
keys = st.sampled_from(["1", "2", "42", "0", "-1", "9" * 18, "9" * 19, "01", "１", "1 ", "x"])


@settings(
    max_examples=50,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    action=st.sampled_from(["records.update", "records.create", "records.archive"]),
    params=st.fixed_dictionaries(
        {"table": st.sampled_from(["shop.orders", "shop.prices", "shop.drafts"])},
        optional={
            "key": keys | anything,
            "keys": st.lists(keys | anything, max_size=3) | anything,
            "set": st.dictionaries(columns, anything, max_size=3) | anything,
            "values": st.dictionaries(columns, anything, max_size=4) | anything,
        },
    ),
)
def test_whatever_is_asked_of_the_shop_is_answered_and_never_half_stored(agent, action, params):
    before = Proposal.objects.count()
    data = {"action": action, "params": params, "run": "fuzz", "rationale": "?"}
    response = agent.post("/proposals", json.dumps(data).encode())
    assert_documented(response)
    assert Proposal.objects.count() == before + (response.status_code == 201)
    if response.status_code == 201:
        work()
        shown = assert_proposal(agent.get(response["Location"]))
        assert shown["status"] in {"committed", "pending", "denied", "failed"}
