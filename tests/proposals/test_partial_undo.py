"""Taking back some of a write's objects and not others: one undo per object, no more said."""

import pytest
from django.db import IntegrityError, connection, connections, transaction

from ledger.models import LedgerEntry
from ledger.verify import Result, verify
from proposals import defaults, services
from proposals.demonstration import people
from proposals.exceptions import AlreadyUndone, InvalidRequest, NothingToUndo
from proposals.models import Execution, Notice, Proposal
from tests.factories import (
    client_for,
    fresh,
    make_agent,
    make_checked,
    make_person,
    new_key,
    painting,
    review,
    work,
)
from tests.meanwhile import Meanwhile
from tests.proposals.test_console import Page, address, signed_in
from tests.proposals.test_idempotency import all_at_once
from tests.proposals.test_undo_run import ask, carry_through, states
from tests.shop_calls import RESTORE, UPDATE, write

pytestmark = pytest.mark.django_db
LEFT = "Ring twice."


@pytest.fixture
def olga():
    return make_person("olga", groups=["operators"])


@pytest.fixture
def agent(shop):
    defaults.ensure()
    defaults.add_rules(people.RULES)
    return client_for(make_agent("shop-assistant", grants=["records.*"]))


@pytest.fixture
def keys(paid):
    return sorted(paid[:3])


@pytest.fixture
def written(agent, keys):
    """One write that gave three orders the same note."""
    params = {"table": "shop.orders", "keys": keys, "set": {"note": LEFT}}
    answer = agent.propose(action="records.update", params=params, run=new_key())
    work()
    return Proposal.objects.get(pk=answer.json()["id"])


def undo(proposal, person, *objects, **more) -> Proposal:
    """Ask, and let the workers do what they can."""
    made = services.undo(
        proposal_id=proposal.pk, person=person, reason="A mix-up.", objects=objects or None, **more
    )
    work()
    return fresh(made)


def changed(shop, keys) -> list[str]:
    """Which of the orders hold what the write left."""
    rows = dict(shop.rows("SELECT id, note FROM orders"))
    return [key for key in keys if rows[int(key)] == LEFT]


def meddle(key, note="Mind the dog.") -> None:
    """Somebody else writes to one of the orders."""
    write(UPDATE, {"table": "shop.orders", "key": key, "set": {"note": note}}, new_key())


def entry(proposal, kind) -> dict:
    return LedgerEntry.objects.filter(stream=proposal.stream, kind=kind).latest("number").body


class TestAnUndoOfSome:
    def test_restores_those_and_leaves_the_others(self, shop, written, keys, olga):
        made = undo(written, olga, keys[0])
        assert made.status == "committed"
        assert changed(shop, keys) == keys[1:]
        assert (fresh(written).is_undone, fresh(written).taken_back) == (False, [keys[0]])

    def test_is_entered_with_what_it_covers_and_what_it_leaves(self, written, keys, olga):
        made = undo(written, olga, keys[2], keys[0])
        asked = entry(made, "proposal.submitted")
        assert (asked["covers"], asked["leaves"]) == ([keys[0], keys[2]], [keys[1]])
        done = entry(written, "proposal.partly_undone")
        assert (done["taken_back"], done["left"]) == ([keys[0], keys[2]], [keys[1]])
        assert not LedgerEntry.objects.filter(kind="proposal.undone").exists()
        assert verify().result is not Result.TAMPERED

    def test_and_then_of_the_rest_undoes_it_all(self, shop, written, keys, olga):
        undo(written, olga, keys[0])
        assert undo(written, olga, *keys[1:]).status == "committed"
        assert changed(shop, keys) == []
        assert (fresh(written).is_undone, fresh(written).taken_back) == (True, [])
        assert entry(written, "proposal.undone")

    def test_of_all_by_name_is_an_undo_of_the_whole(self, written, keys, olga):
        assert undo(written, olga, *keys).covers is None
        assert fresh(written).is_undone

    def test_of_what_nobody_changed_since_commits_alone_beside_a_conflict(
        self, shop, written, keys, olga
    ):
        meddle(keys[1])
        assert undo(written, olga).status == "pending"
        review(Proposal.objects.get(compensates=written), "reject", reviewer=make_person("ravi"))
        assert undo(written, olga, keys[0], keys[2]).status == "committed"
        assert changed(shop, keys) == []
        assert shop.rows(f"SELECT note FROM orders WHERE id = {keys[1]}") == [("Mind the dog.",)]

    def test_over_a_conflict_takes_another_person_for_that_object_alone(
        self, shop, written, keys, olga
    ):
        meddle(keys[1])
        made = undo(written, olga, keys[1], over_conflicts=True)
        assert made.status == "pending"
        assert [row["key"] for row in made.revision().params["rows"]] == [keys[1]]
        assert undo(written, olga, keys[0]).status == "committed"

    def test_tells_the_owner_that_it_is_partly_undone(self, written, keys, olga):
        undo(written, olga, keys[0])
        kinds = Notice.objects.filter(proposal=written).values_list("kind", flat=True)
        assert "partly" in kinds
        assert "undone" not in kinds

    def test_is_refused_for_no_object_and_for_a_stranger(self, written, keys, olga, paid):
        for objects in ([], [paid[3]], [keys[0], "new"]):
            with pytest.raises(InvalidRequest):
                services.undo(
                    proposal_id=written.pk, person=olga, reason="A mix-up.", objects=objects
                )
        assert not Proposal.objects.filter(compensates=written).exists()

    def test_that_would_change_nothing_is_refused(self, shop, written, keys, olga):
        shop.execute(f"UPDATE orders SET note = '' WHERE id = {keys[0]}")
        before = written.current_check.before[keys[0]]["note"]
        meddle(keys[0], before)
        with pytest.raises(NothingToUndo):
            undo(written, olga, keys[0])
        assert undo(written, olga, keys[1]).status == "committed"

    def test_is_not_for_what_cannot_be_divided(self, toybox, olga):
        forward = make_checked(params=painting())
        with pytest.raises(InvalidRequest):
            undo(forward, olga, "bear")
        assert undo(forward, olga).status == "committed"


class TestTheOnePlaceOfEachObject:
    def test_is_taken_while_an_undo_of_it_is_open_or_stands(self, written, keys, olga):
        services.undo(proposal_id=written.pk, person=olga, reason="No.", objects=[keys[0]])
        for objects in ([keys[0]], keys[:2], None):
            with pytest.raises(AlreadyUndone):
                services.undo(proposal_id=written.pk, person=olga, reason="No.", objects=objects)
        services.undo(proposal_id=written.pk, person=olga, reason="No.", objects=keys[1:])
        work()
        assert fresh(written).is_undone

    def test_is_free_again_when_its_undo_ended_without_a_write(self, written, keys, olga):
        meddle(keys[0])
        stuck = undo(written, olga, keys[0])
        review(stuck, "reject", reviewer=make_person("ravi"))
        meddle(keys[0], LEFT)
        assert undo(written, olga, *keys[:2]).status == "committed"

    def test_is_not_given_to_a_retry_beside_another(self, written, keys, olga):
        failed = undo(written, olga, keys[0])
        Proposal.objects.filter(pk=failed.pk).update(status="failed")
        Proposal.objects.filter(pk=written.pk).update(taken_back=[])
        services.undo(proposal_id=written.pk, person=olga, reason="No.", objects=keys[:2])
        with pytest.raises(AlreadyUndone):
            services.retry(proposal_id=failed.pk, person=olga, reason="Again.")

    def test_is_asked_for_again_when_a_worker_takes_it_up(self, shop, written, keys, olga):
        """Whatever put two undos of one object side by side, none is written."""
        first = services.undo(proposal_id=written.pk, person=olga, reason="No.", objects=keys[:1])
        second = services.undo(proposal_id=written.pk, person=olga, reason="No.", objects=keys[1:])
        Proposal.objects.filter(pk=second.pk).update(covers=keys)
        work()
        assert changed(shop, keys) == keys
        assert {fresh(first).status, fresh(second).status} == {"pending"}

    def test_of_the_whole_is_kept_by_the_database_too(self, written, keys, olga):
        services.undo(proposal_id=written.pk, person=olga, reason="No.", objects=keys[:1])
        services.undo(proposal_id=written.pk, person=olga, reason="No.", objects=keys[1:])
        with pytest.raises(IntegrityError), transaction.atomic():
            Proposal.objects.filter(compensates=written).update(covers=None)

    def test_is_not_the_agents_while_people_took_back_a_part(self, agent, written, keys, olga):
        undo(written, olga, keys[0])
        answer = agent.post(f"/proposals/{written.pk}/undo", key="undo-1")
        assert (answer.status_code, answer.json()["code"]) == (409, "already-undone")
        assert agent.get(f"/proposals/{written.pk}").json()["compensated_by"] is None


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("number", range(4))
def test_of_many_undos_at_once_no_two_cover_one_object(number, shop, written, keys, olga):
    def ask(objects):
        try:
            return services.undo(proposal_id=written.pk, person=olga, reason="No.", objects=objects)
        except AlreadyUndone as refusal:
            return refusal
        finally:
            connections["shop"].close()

    wanted = [keys[:2], keys[1:], [keys[0]], [keys[2]], None, keys[:2]]
    said = all_at_once([lambda objects=objects: ask(objects) for objects in wanted])
    made = [one for one in said if isinstance(one, Proposal)]
    covered = [name for one in made for name in one.covers or keys]
    assert made
    assert len(covered) == len(set(covered))


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite has one writer at a time.")
@pytest.mark.parametrize("second", ["undo", "retry"])
def test_whoever_comes_while_a_place_is_being_taken_does_not_get_it(second, written, keys, olga):
    failed = undo(written, olga, keys[0])
    Proposal.objects.filter(pk=failed.pk).update(status="failed")
    Proposal.objects.filter(pk=written.pk).update(taken_back=[])
    asked = {"proposal_id": written.pk, "person": olga, "reason": "No."}

    def come() -> Proposal:
        if second == "undo":
            return services.undo(**asked, objects=keys[:1])
        return services.retry(**asked | {"proposal_id": failed.pk})

    with transaction.atomic():
        services.undo(**asked, objects=keys[:2])
        other = Meanwhile(come)
    assert isinstance(other.came_to(), AlreadyUndone)


class TestTheUndoOfAnUndo:
    def test_of_some_makes_those_stand_again(self, shop, written, keys, olga):
        first = undo(written, olga)
        assert undo(first, olga, keys[0]).status == "committed"
        assert changed(shop, keys) == [keys[0]]
        assert (fresh(written).is_undone, fresh(written).taken_back) == (False, keys[1:])
        assert (fresh(first).is_undone, fresh(first).taken_back) == (False, [keys[0]])

    def test_frees_their_places_alone(self, written, keys, olga):
        undo(undo(written, olga), olga, keys[0])
        with pytest.raises(AlreadyUndone):
            undo(written, olga, keys[1])
        assert undo(written, olga, keys[0]).status == "committed"
        assert fresh(written).is_undone

    def test_whole_of_a_part_leaves_nothing_undone(self, shop, written, keys, olga):
        undo(undo(written, olga, keys[0]), olga)
        assert changed(shop, keys) == keys
        assert (fresh(written).is_undone, fresh(written).taken_back) == (False, [])
        assert entry(written, "proposal.redone")

    def test_does_not_bring_back_an_undo_whose_place_is_taken(self, shop, written, keys, olga):
        first = undo(written, olga)
        redo = undo(first, olga, keys[0])
        undo(written, olga, keys[0])
        meddle(keys[0], LEFT)  # somebody writes it as the redo left it
        assert undo(redo, olga).status == "committed"
        assert fresh(written).is_undone
        assert fresh(first).taken_back == [keys[0]]


class TestTheUndoOfARun:
    def test_takes_back_what_is_left(self, shop, written, keys, olga):
        undo(written, olga, keys[0])
        undoing = carry_through(ask(written, olga))
        assert undoing.finished_at
        assert changed(shop, keys) == []
        assert fresh(written).is_undone
        assert (
            list(Proposal.objects.filter(compensates=written).order_by("pk"))[1].covers
            == (keys[1:])
        )

    def test_follows_the_undos_that_cover_it_between_them(self, shop, written, keys, olga):
        for objects in (keys[:1], keys[1:]):
            services.undo(proposal_id=written.pk, person=olga, reason="No.", objects=objects)
        assert carry_through(ask(written, olga)).finished_at
        assert Proposal.objects.filter(compensates=written).count() == 2

    def test_says_that_it_failed_where_somebody_rejected_a_part(self, shop, written, keys, olga):
        meddle(keys[0])
        stuck = undo(written, olga, keys[0], over_conflicts=True)
        undoing = carry_through(ask(written, olga), passes=3)
        assert fresh(written).taken_back == keys[1:]
        review(stuck, "reject", reviewer=make_person("ravi"))
        assert states(carry_through(undoing)) == ["failed"]
        assert not fresh(written).is_undone

    def test_is_foreseen_for_what_is_left(self, written, keys, olga):
        undo(written, olga, keys[0])
        plan = services.preview_run_undo(run_id=written.run_id)
        assert [line.outlook for line in plan.lines] == ["clean"]


class TestThePage:
    def test_ticks_what_nobody_changed_since_and_the_last_written_comes_first(
        self, written, keys, olga
    ):
        meddle(keys[1])
        page = Page(signed_in(olga).get(address("undo", written)))
        ticks = page.all("input", name="objects")
        assert [one["value"] for one in ticks] == keys[::-1]
        assert ["checked" in one for one in ticks] == [True, False, True]
        assert "changed since" in page.inside("fieldset")

    def test_proposes_what_is_ticked(self, shop, written, keys, olga):
        data = {"reason": "A mix-up.", "divided": "1", "objects": [keys[2]]}
        answer = signed_in(olga).post(address("undo", written), data)
        work()
        assert changed(shop, keys) == keys[:2]
        made = Page(signed_in(olga).get(answer["Location"]))
        assert f"It covers 1 object ({keys[2]}) of the write." in made.text

    def test_refuses_an_empty_undo_and_keeps_what_was_typed(self, written, olga):
        answer = signed_in(olga).post(
            address("undo", written), {"reason": "A mix-up.", "divided": "1"}
        )
        page = Page(answer)
        assert answer.status_code == 409
        assert "Tick at least one object to take back." in page.text
        assert "A mix-up." in page.inside("textarea")
        assert not any("checked" in one for one in page.all("input", name="objects"))

    def test_shows_what_is_taken_back_and_offers_the_rest(self, written, keys, olga):
        undo(written, olga, keys[0])
        browser = signed_in(olga)
        page = Page(browser.get(address("undo", written)))
        assert "1 object taken back." in page.text
        assert [one["value"] for one in page.all("input", name="objects")] == keys[:0:-1]
        shown = Page(browser.get(address("proposal", written)))
        assert "Committed, then partly undone" in shown.text
        assert f"taken back of 1 object ({keys[0]})" in shown.text
        assert "Undone. What this wrote was taken back." not in shown.text

    def test_says_what_came_of_each_object(self, written, keys, olga):
        undo(written, olga, keys[0])
        meddle(keys[1])
        undo(written, olga, keys[1], over_conflicts=True)
        page = Page(signed_in(olga).get(address("undo", written)))
        assert "1 object taken back." in page.text
        assert "1 object to be taken back: needs review." in page.text

    def test_says_that_an_undo_of_one_object_is_of_it_alone(self, toybox, olga):
        page = Page(signed_in(olga).get(address("undo", make_checked(params=painting()))))
        assert not page.all("input", name="objects")
        assert page.all("textarea", name="reason")

    def test_offers_all_or_none_where_it_cannot_be_divided(self, written, keys, olga, monkeypatch):
        monkeypatch.setattr(type(RESTORE), "parts", lambda self, params: [])
        page = Page(signed_in(olga).get(address("undo", written)))
        assert "This undo cannot be divided" in page.text
        assert not page.all("input", name="objects")

    def test_lists_it_as_partly_undone(self, written, keys, olga):
        undo(written, olga, keys[0])
        assert "partly undone" in Page(signed_in().get("/recent/")).text


def test_two_undos_are_claimed_side_by_side(shop, written, keys, olga):
    made = [
        services.undo(proposal_id=written.pk, person=olga, reason="No.", objects=objects)
        for objects in (keys[:1], keys[1:])
    ]
    work()
    assert [fresh(one).status for one in made] == ["committed", "committed"]
    assert Execution.objects.filter(proposal__in=made).count() == 2
