"""Every entry that touched an object is found by its name, also where a call touched several."""

from unittest import mock

import pytest
from django.core.management import call_command
from django.urls import reverse

from ledger import clock
from ledger.models import LedgerEntry, Mention
from proposals import defaults, execution, services, touched
from proposals.demonstration import people
from proposals.models import Execution, Proposal
from proposals.registry import Outcome, registry
from tests.factories import (
    approve,
    client_for,
    fresh,
    make_agent,
    make_checked,
    make_person,
    new_key,
    work,
)
from tests.proposals.admin.pages import signed_in, text_of

pytestmark = pytest.mark.django_db
LIST = reverse("admin:ledger_ledgerentry_changelist")


@pytest.fixture
def amir():
    return signed_in("amir", ["auditors"])


@pytest.fixture
def assistant(shop):
    """The shop's own agent, under the rules that the demonstration starts with."""
    defaults.ensure()
    defaults.add_rules(people.RULES)
    return client_for(make_agent("shop-assistant", grants=["records.*"]))


def propose(agent, action="records.update", **params):
    response = agent.propose(action=action, params=params, run=new_key())
    assert response.status_code == 201, response.content
    work()
    return Proposal.objects.get(pk=response.json()["id"])


def orders(shop, count):
    found = shop.rows(f"SELECT id FROM orders WHERE status = 'paid' ORDER BY id LIMIT {count}")
    return [str(row[0]) for row in found]


def found(browser, name):
    """What the auditor's search lists of an object, the newest first."""
    answer = browser.get(LIST, {"q": f"object:{name}"})
    return [(one.kind, one.proposal) for one in answer.context["cl"].result_list]


def around(browser, proposal):
    html = text_of(browser.get(reverse("explain", args=[proposal.pk])))
    return html[html.index("Around it") : html.index(">10. Proof")]


def body(proposal, kind):
    return LedgerEntry.objects.filter(stream=proposal.stream, kind=kind).latest("number").body


class TestARow:
    def test_is_found_with_the_update_of_several_and_with_the_undo_of_that(
        self, amir, assistant, shop
    ):
        first, second, third = orders(shop, 3)
        params = {"table": "shop.orders", "set": {"note": "Ring twice."}}
        several = propose(assistant, keys=[second, first], **params)
        undo = services.undo(
            proposal_id=several.pk, person=make_person("olga", groups=["operators"]), reason="No."
        )
        work()
        assert (fresh(several).is_undone, fresh(undo).status) == (True, "committed")
        for order in (first, second):
            assert found(amir, f"shop.orders/{order}") == [
                ("proposal.committed", str(undo.pk)),
                ("proposal.checked", str(undo.pk)),
                ("proposal.committed", str(several.pk)),
                ("proposal.checked", str(several.pk)),
            ]
        assert found(amir, f"shop.orders/{third}") == []

    def test_that_was_created_is_found_by_the_key_that_it_got(self, amir, assistant, shop):
        [order] = orders(shop, 1)
        values = {"order_id": int(order), "subject": "Hello", "body": "On its way."}
        created = propose(assistant, "records.create", table="shop.drafts", values=values)
        name = f"shop.drafts/{created.result['key']}"
        assert found(amir, name) == [("proposal.committed", str(created.pk))]
        assert "objects" not in body(created, "proposal.checked"), "it had no name before"
        assert found(amir, "shop.drafts/new") == []
        archived = propose(
            assistant, "records.archive", table="shop.drafts", key=created.result["key"]
        )
        assert str(created.pk) in around(amir, archived), "before, same object"
        assert str(archived.pk) in around(amir, created), "after, same object"

    def test_leads_on_its_page_to_who_touched_it_together_with_others(self, amir, assistant, shop):
        first, second = orders(shop, 2)
        params = {"table": "shop.orders", "set": {"note": "Ring twice."}}
        several = propose(assistant, keys=[first, second], **params)
        alone = propose(assistant, key=second, **params)
        assert str(several.pk) in around(amir, alone)
        section = around(amir, several)
        for order in (first, second):
            assert f"object%3Ashop.orders%2F{order}" in section


class TestAnEntry:
    def test_names_its_objects_in_order_and_none_of_their_values(self, assistant, shop):
        keys = orders(shop, 3)
        note = "Zebra, the customer's own words"
        several = propose(
            assistant, table="shop.orders", keys=list(reversed(keys)), set={"note": note}
        )
        named = sorted(f"shop.orders/{key}" for key in keys)
        for kind in ("proposal.checked", "proposal.committed"):
            assert body(several, kind)["objects"] == named
        entries = LedgerEntry.objects.filter(stream=several.stream)
        assert not [one for one in entries if b"Zebra" in bytes(one.canonical)]

    def test_about_one_object_says_no_more_than_its_column(self, assistant, shop, toybox):
        [order] = orders(shop, 1)
        one = propose(assistant, table="shop.orders", key=order, set={"note": "Ring twice."})
        toy = make_checked()
        for proposal in (one, toy):
            for kind in ("proposal.checked", "proposal.committed"):
                assert "objects" not in body(proposal, kind)

    def test_stays_small_and_counts_what_it_leaves_out(self, toybox, monkeypatch):
        many = [f"toys/{number:04}" for number in range(touched.MOST + 7)]
        monkeypatch.setattr(
            registry.get("toys.set"), "objects", lambda params, images: many, raising=False
        )
        committed = body(make_checked(), "proposal.committed")
        assert committed["objects"] == many[: touched.MOST]
        assert committed["more_objects"] == 7

    @pytest.mark.parametrize("answer", [["toys/a\0", "", 7, "x" * 501], 7])
    def test_is_made_also_where_an_action_cannot_name_them(self, toybox, monkeypatch, answer):
        """What was written was written."""
        monkeypatch.setattr(
            registry.get("toys.set"), "objects", lambda params, images: answer, raising=False
        )
        proposal = make_checked()
        assert proposal.status == "committed"
        assert "objects" not in body(proposal, "proposal.committed")

    def test_by_people_names_what_was_checked(self, the_depot, monkeypatch):
        """Their word brings no image of its own, and what was there before is what counts."""
        action, seen = registry.get("parcels.uncertain"), []
        monkeypatch.setattr(
            action,
            "objects",
            lambda params, images: seen.append(images) or ["parcels/books", "shelves/3"],
            raising=False,
        )
        monkeypatch.setattr(
            action, "attested", lambda params, **known: Outcome({"at": "the door"}, after={})
        )
        proposal = make_checked(action="parcels.uncertain", params={"parcel": "books"})
        the_depot.failing["answer"] = "unclear"
        approve(proposal)
        execution.run(Execution.objects.get(proposal=proposal).pk)
        assert fresh(proposal).status == "unknown"
        services.attest(
            proposal_id=proposal.pk,
            person=make_person("olga", groups=["operators"]),
            finding="applied",
            reference="track-1",
            authenticated_at=clock.now(),
        )
        assert body(fresh(proposal), "proposal.committed")["objects"] == ["shelves/3"]
        assert seen[-1] == {"books": None}


def test_the_index_of_objects_can_be_made_anew(assistant, shop):
    keys = orders(shop, 3)
    propose(assistant, table="shop.orders", keys=keys, set={"note": "Ring twice."})
    kept = sorted(Mention.objects.values_list("name", "value", "entry_id"))
    assert len([one for one in kept if one[1] == f"shop.orders/{keys[0]}"]) == 2
    call_command("index_ledger", stdout=mock.Mock())
    assert sorted(Mention.objects.values_list("name", "value", "entry_id")) == kept
