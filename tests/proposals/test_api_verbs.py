"""Amending, withdrawing and undoing through the agents' door."""

import pytest

from proposals import checks, execution, services
from proposals.lifecycle import Status
from proposals.models import Execution, Proposal, Revision
from tests.contract import assert_problem, assert_proposal
from tests.factories import (
    approve,
    client_for,
    fresh,
    make_agent,
    make_checked,
    make_person,
    make_proposal,
    painting,
    review,
    work,
)

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("toybox")]


def resting(status):
    """A proposal of the same agent in this status, by the ways that lead there."""
    if status == Status.SUBMITTED:
        return make_proposal()
    if status == Status.COMMITTED:
        return make_checked()
    proposal = make_checked(params=painting("green", tier="medium"))
    if status == Status.CHANGES_REQUESTED:
        review(proposal, "request_changes")
    elif status == Status.REJECTED:
        review(proposal, "reject")
    elif status == Status.APPROVED:
        approve(proposal)
    elif status == Status.WITHDRAWN:
        services.withdraw(agent=proposal.agent, proposal_id=proposal.pk)
    return fresh(proposal)


class TestAmending:
    @pytest.mark.parametrize("status", [Status.SUBMITTED, Status.PENDING, Status.CHANGES_REQUESTED])
    def test_what_is_open_takes_another_revision(self, status):
        proposal = resting(status)
        assert proposal.status == status
        client = client_for(proposal.agent)
        response = client.post(
            f"/proposals/{proposal.pk}/revisions", {"params": painting("pink", toy="duck")}
        )
        shown = assert_proposal(response, 201)
        assert (shown["id"], shown["status"], shown["revision"]) == (
            str(proposal.pk),
            "submitted",
            2,
        )
        assert (shown["params"]["colour"], shown["resource"]) == ("pink", "toys/duck")
        assert shown["rationale"] == "The child asked for it."
        assert shown["digest"] is None
        assert shown["waiting_on"]["who"] == "checks"

    @pytest.mark.parametrize(
        "status", [Status.APPROVED, Status.COMMITTED, Status.REJECTED, Status.WITHDRAWN]
    )
    def test_what_is_not_is_refused_and_gives_the_key_back(self, status):
        proposal = resting(status)
        assert proposal.status == status
        client = client_for(proposal.agent)
        path = f"/proposals/{proposal.pk}/revisions"
        refused = client.post(path, {"rationale": "Better."}, key="again")
        assert_problem(refused, 409, "illegal-transition")
        assert fresh(proposal).revision_number == 1
        assert_proposal(client.propose(key="again", run="other"), 201)

    def test_a_repeat_is_answered_with_the_proposal_as_it_stands_now(self):
        proposal = resting(Status.PENDING)
        client, path = client_for(proposal.agent), f"/proposals/{proposal.pk}/revisions"
        change = {"rationale": "Better.", "evidence": [{"kind": "other", "title": "Note"}]}
        client.post(path, change, key="k")
        work()
        again = client.post(
            path.upper().replace("/PROPOSALS", "/proposals").replace("/REVISIONS", "/revisions"),
            change,
            key="k",
        )
        shown = assert_proposal(again, 200)
        assert again["Idempotent-Replayed"] == "true"
        assert (shown["status"], shown["revision"]) == ("pending", 2)
        assert Revision.objects.filter(proposal=proposal).count() == 2

    def test_an_amendment_cannot_hide_that_it_repeats_another(self):
        agent = make_agent()
        first = make_proposal(agent=agent, params=painting("blue"))
        other = make_proposal(agent=agent, params=painting("green"))
        response = client_for(agent).post(
            f"/proposals/{other.pk}/revisions", {"params": painting("blue")}
        )
        assert assert_proposal(response, 201)["possible_duplicate_of"] == str(first.pk)
        work()
        assert [fresh(each).status for each in (first, other)] == ["committed", "pending"]

    def test_something_must_change(self):
        proposal = resting(Status.PENDING)
        client = client_for(proposal.agent)
        for nothing in ({}, {"rationale": None}):
            refused = client.post(f"/proposals/{proposal.pk}/revisions", nothing)
            assert_problem(refused, 400, "invalid-request")

    def test_what_the_revision_may_not_touch_is_refused(self):
        proposal = resting(Status.PENDING)
        client = client_for(proposal.agent)
        for name in ("action", "run", "status", "tier", "agent", "expires_in", "context"):
            refused = client.post(
                f"/proposals/{proposal.pk}/revisions", {"rationale": "x", name: "x"}
            )
            assert_problem(refused, 400, "invalid-request", f"/{name}")
        refused = client.post(f"/proposals/{proposal.pk}/revisions", {"params": {"toy": "bear"}})
        assert_problem(refused, 400, "invalid-params", "/params/colour")


class TestWithdrawing:
    @pytest.mark.parametrize(
        "status",
        [Status.SUBMITTED, Status.PENDING, Status.CHANGES_REQUESTED, Status.APPROVED],
    )
    def test_what_no_worker_has_can_be_taken_back(self, status, toybox):
        proposal = resting(status)
        assert proposal.status == status
        client = client_for(proposal.agent)
        response = client.post(f"/proposals/{proposal.pk}/withdraw", b"", key="")
        shown = assert_proposal(response)
        assert (shown["status"], shown["waiting_on"]["who"]) == ("withdrawn", None)
        assert "Location" not in response
        again = client.post(f"/proposals/{proposal.pk}/withdraw", {}, key="")
        assert assert_proposal(again) == shown
        work()
        assert toybox.effects == []

    def test_what_a_worker_has_claimed_cannot(self):
        proposal = resting(Status.APPROVED)
        claim = execution.take(Execution.objects.get(proposal=proposal).pk)
        assert claim.refusal == ""
        refused = client_for(proposal.agent).post(f"/proposals/{proposal.pk}/withdraw")
        assert_problem(refused, 409, "illegal-transition")

    @pytest.mark.parametrize("status", [Status.COMMITTED, Status.REJECTED])
    def test_what_has_ended_cannot(self, status):
        proposal = resting(status)
        refused = client_for(proposal.agent).post(f"/proposals/{proposal.pk}/withdraw")
        assert_problem(refused, 409, "illegal-transition")
        assert fresh(proposal).status == status

    def test_there_is_nothing_to_send(self):
        proposal = resting(Status.PENDING)
        path = f"/proposals/{proposal.pk}/withdraw"
        refused = client_for(proposal.agent).post(path, {"reason": "x"})
        assert_problem(refused, 400, "invalid-request", "/reason")


class TestUndoing:
    def test_an_undo_is_a_proposal_that_goes_through_the_gate(self, toybox):
        forward = make_checked()
        client = client_for(forward.agent)
        response = client.post(f"/proposals/{forward.pk}/undo", {"rationale": "Wrong bear."})
        undo = assert_proposal(response, 201)
        assert (undo["status"], undo["compensates"]) == ("submitted", str(forward.pk))
        assert (undo["action"], undo["rationale"]) == ("toys.restore", "Wrong bear.")
        assert toybox.colours["bear"] == "blue", "asking commits nothing"
        work()
        assert toybox.colours["bear"] == "brown"
        shown = assert_proposal(client.get(f"/proposals/{forward.pk}"))
        assert (shown["status"], shown["compensated_by"]) == ("committed", undo["id"])

    def test_the_undo_of_what_needed_people_needs_people(self, toybox):
        forward = make_checked(params=painting(tier="medium"))
        approve(forward)
        work()
        client = client_for(forward.agent)
        undo = assert_proposal(client.post(f"/proposals/{forward.pk}/undo", b""), 201)
        work()
        shown = assert_proposal(client.get(f"/proposals/{undo['id']}"))
        assert (shown["status"], shown["waiting_on"]["who"]) == ("pending", "people")
        assert toybox.colours["bear"] == "blue"

    def test_it_needs_no_grant_for_the_compensation(self):
        forward = make_checked(agent=make_agent("narrow-bot", grants=["toys.set"]))
        client = client_for(forward.agent)
        assert_proposal(client.post(f"/proposals/{forward.pk}/undo"), 201)
        work()
        assert fresh(forward).is_undone

    def test_only_one_undo_lives_at_a_time(self):
        forward = make_checked()
        client, path = client_for(forward.agent), f"/proposals/{forward.pk}/undo"
        first = client.post(path, key="first")
        assert_problem(client.post(path, key="second"), 409, "already-undone")
        work()
        assert_problem(client.post(path, key="second"), 409, "already-undone")
        again = client.post(path, key="first")
        assert assert_proposal(again, 200)["id"] == first.json()["id"]
        assert again["Idempotent-Replayed"] == "true"

    def test_the_place_is_free_again_after_an_undo_that_wrote_nothing(self):
        forward = make_checked()
        client = client_for(forward.agent)
        first = client.post(f"/proposals/{forward.pk}/undo").json()
        client.post(f"/proposals/{first['id']}/withdraw")
        assert_proposal(client.post(f"/proposals/{forward.pk}/undo"), 201)

    @pytest.mark.parametrize(
        "status", [Status.SUBMITTED, Status.PENDING, Status.REJECTED, Status.WITHDRAWN]
    )
    def test_what_was_not_committed_cannot_be_undone(self, status):
        proposal = resting(status)
        refused = client_for(proposal.agent).post(f"/proposals/{proposal.pk}/undo", key="k")
        assert_problem(refused, 409, "nothing-to-undo")
        assert_proposal(client_for(proposal.agent).propose(key="k", run="other"), 201)

    def test_what_is_for_good_cannot_be_undone(self):
        forward = make_checked(params=painting(for_good=True))
        approve(forward)
        work()
        assert fresh(forward).status == "committed"
        refused = client_for(forward.agent).post(f"/proposals/{forward.pk}/undo")
        assert_problem(refused, 409, "nothing-to-undo")

    def test_a_persons_undo_is_not_the_agents_to_see(self):
        forward = make_checked()
        olga = make_person("olga", groups=["operators"])
        undo = services.undo(proposal_id=forward.pk, person=olga, reason="Wrong bear.")
        client = client_for(forward.agent)
        assert_problem(client.get(f"/proposals/{undo.pk}"), 404, "not-found")
        assert client.get("/runs/run-1").json()["total"] == 1
        assert len(client.get("/proposals").json()["results"]) == 1


def test_a_check_that_comes_late_does_not_land_on_the_amended_proposal():
    proposal = make_proposal(params=painting(tier="medium"))
    started = Proposal.objects.get(pk=proposal.pk)
    in_force = []
    findings = checks.examine(proposal.action, proposal.revision().params)
    verdict = checks.gate.judge(started, started.revision(), findings, in_force)
    client_for(proposal.agent).post(
        f"/proposals/{proposal.pk}/revisions", {"params": painting("pink", tier="medium")}
    )
    assert checks.land(started, started.revision(), findings, verdict, in_force) is None
    assert fresh(proposal).current_check is None
