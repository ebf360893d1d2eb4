"""Proposing and reading through the agents' door: statuses, codes, headers and fields."""

import re
import threading
import time
from urllib.parse import quote
from uuid import UUID, uuid4

import pytest
from django.db import connection

from budgets.models import Budget
from ledger.identifiers import uuid7
from proposals import services
from proposals.api import answers, patience
from proposals.models import Proposal, Rule
from tests.contract import assert_problem, assert_proposal, rows
from tests.factories import (
    AgentClient,
    approve,
    client_for,
    fresh,
    make_agent,
    make_checked,
    make_proposal,
    painting,
    review,
    suspend,
    token_for,
    work,
)

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("toybox")]
RFC_3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


def deny(name, message):
    make_agent()  # and with it the groups and the first rules
    rule = Rule(name=name, action="toys.*", effect="deny", message=message)
    services.save_rule(rule=rule, person=None, is_new=True)


def by_id(shown):
    return Proposal.objects.get(pk=shown["id"])


def page(client, path):
    response = client.get(path)
    answers.Page.model_validate_json(response.content)
    return response.json()


def names(found):
    return [each["id"] for each in found["results"]]


class TestProposing:
    def test_the_first_answer_is_201_with_the_address_and_the_proposal(self):
        agent = client_for()
        response = agent.propose(
            evidence=[
                {"kind": "record", "title": "toys/bear", "content": {"colour": "brown"}},
                {"kind": "document", "title": "Rules", "uri": "kb:1", "content": None},
                {"kind": "other", "title": "x", "retrieved_at": "2026-11-22T09:58:03Z"},
            ],
            context={"model": "example-model-4"},
            expires_in=3600,
        )
        shown = assert_proposal(response, 201)
        assert UUID(shown["id"]).version == 7
        assert (shown["status"], shown["revision"]) == ("submitted", 1)
        assert (shown["action"], shown["resource"]) == ("toys.set", "toys/bear")
        assert (shown["run"], shown["rationale"]) == ("run-1", "The child asked for it.")
        assert shown["params"] == {"toy": "bear", "colour": "blue"}
        assert shown["delivery"] == "transactional"
        assert shown["waiting_on"]["who"] == "checks"
        for unknown in ("digest", "tier", "reversible", "impact", "change", "result", "error"):
            assert shown[unknown] is None
        assert shown["decisions"] == shown["conflicts_with"] == []
        for moment in ("created_at", "updated_at", "expires_at"):
            assert RFC_3339.fullmatch(shown[moment])
        assert "Idempotent-Replayed" not in response
        assert "Preference-Applied" not in response
        assert assert_proposal(agent.get(response["Location"])) == shown

    def test_what_is_low_and_reversible_commits_by_itself(self, toybox):
        agent = client_for()
        proposed = agent.propose().json()
        work()
        shown = assert_proposal(agent.get(f"/proposals/{proposed['id']}"))
        assert shown["status"] == "committed"
        assert (shown["tier"], shown["reversible"]) == ("low", True)
        assert shown["change"] == {"before": {"colour": "brown"}, "after": {"colour": "blue"}}
        assert shown["impact"] == {
            "objects": 1,
            "amount": None,
            "people": 0,
            "external": False,
            "reasons": ["One toy is painted."],
        }
        assert shown["result"] == {"toy": "bear", "colour": "blue"}
        assert shown["waiting_on"]["who"] is None
        assert re.fullmatch("sha256:[0-9a-f]{64}", shown["digest"])
        assert RFC_3339.fullmatch(shown["committed_at"])
        [decision] = shown["decisions"]
        assert (decision["verdict"], decision["by"]) == ("approve", "policy")
        assert toybox.colours["bear"] == "blue"

    def test_people_are_waited_for_and_then_named_by_no_name(self):
        agent = client_for()
        proposed = agent.propose(params=painting(tier="medium")).json()
        work()
        waiting = assert_proposal(agent.get(f"/proposals/{proposed['id']}"))
        assert waiting["status"] == "pending"
        assert waiting["waiting_on"] == {
            "who": "people",
            "group": "reviewers",
            "approvals": 0,
            "approvals_required": 1,
            "expected_seconds": None,
        }
        approve(by_id(proposed), is_for_agent=True, reason="Yes, do.")
        approved = assert_proposal(agent.get(f"/proposals/{proposed['id']}"))
        assert (approved["status"], approved["waiting_on"]["who"]) == ("approved", "worker")
        work()
        response = agent.get(f"/proposals/{proposed['id']}")
        assert [(each["by"], each["reason"]) for each in response.json()["decisions"]] == [
            ("person", "Yes, do.")
        ]
        for secret in (b"rita", b"Rita", b"Medium needs one reviewer"):
            assert secret not in response.content

    def test_a_refusal_by_rule_carries_a_code_and_a_sentence_but_not_the_rule(self):
        deny("Nobody paints at dawn", message="Painting is closed.")
        agent = client_for()
        proposed = agent.propose().json()
        work()
        response = agent.get(f"/proposals/{proposed['id']}")
        shown = assert_proposal(response)
        assert shown["status"] == "denied"
        assert shown["error"] == {
            "code": "denied-by-policy",
            "detail": "Painting is closed.",
            "retryable": False,
        }
        assert [(d["verdict"], d["by"]) for d in shown["decisions"]] == [("deny", "policy")]
        assert b"dawn" not in response.content

    @pytest.mark.parametrize("is_sent", [True, False])
    def test_a_persons_words_reach_the_agent_only_where_they_were_sent(self, is_sent):
        agent = client_for()
        proposed = agent.propose(params=painting(tier="medium")).json()
        work()
        review(
            by_id(proposed),
            "reject",
            reason="Private thoughts.",
            reason_code="wrong_value",
            is_for_agent=is_sent,
        )
        shown = assert_proposal(agent.get(f"/proposals/{proposed['id']}"))
        assert (shown["status"], shown["error"]["code"]) == ("rejected", "wrong_value")
        said = "Private thoughts." if is_sent else "Wrong value"
        assert shown["decisions"][-1]["reason"] == said
        assert ("Private thoughts." in str(shown)) is is_sent

    def test_comments_are_for_colleagues_unless_they_are_sent(self):
        proposal = make_checked(params=painting(tier="medium"))
        review(proposal, "comment", reason="Odd.")
        review(proposal, "comment", reason="Please explain.", is_for_agent=True)
        shown = client_for(proposal.agent).get(f"/proposals/{proposal.pk}").json()
        assert [(d["verdict"], d["reason"]) for d in shown["decisions"]] == [
            ("comment", "Please explain.")
        ]

    @pytest.mark.parametrize("stop", ["freeze", "suspend"])
    def test_what_is_approved_but_stopped_waits_on_the_operator(self, stop):
        proposal = make_checked(params=painting(tier="medium"))
        approve(proposal)
        if stop == "freeze":
            services.freeze(reason="Something is odd.", action="toys.set")
        else:
            suspend(proposal.agent)
        shown = assert_proposal(client_for(proposal.agent).get(f"/proposals/{proposal.pk}"))
        assert (shown["status"], shown["waiting_on"]["who"]) == ("approved", "operator")

    def test_while_everything_is_frozen_nothing_new_is_taken(self):
        agent = client_for()
        first = agent.propose(key="k")
        frozen = services.freeze(reason="Something is odd.")
        before = rows()
        refused = agent.propose(run="other")
        assert_problem(refused, 503, "writes-frozen")
        assert int(refused["Retry-After"]) > 0
        assert rows() == before
        assert agent.propose(key="k").json()["id"] == first.json()["id"]
        services.lift(freeze_id=frozen.pk, reason="It was not.")
        assert_proposal(agent.propose(run="other"), 201)

    def test_changes_requested_wait_on_the_agent(self):
        proposal = make_checked(params=painting(tier="medium"))
        review(proposal, "request_changes", reason="Green.", is_for_agent=True)
        shown = client_for(proposal.agent).get(f"/proposals/{proposal.pk}").json()
        assert (shown["status"], shown["waiting_on"]["who"]) == ("changes_requested", "agent")

    def test_a_failure_says_whether_trying_again_makes_sense(self, toybox):
        toybox.failing = {"apply": "refused"}
        proposal = make_checked()
        shown = assert_proposal(client_for(proposal.agent).get(f"/proposals/{proposal.pk}"))
        assert (shown["status"], shown["waiting_on"]["who"]) == ("failed", None)
        assert shown["error"]["code"] == "target-refused"
        assert shown["error"]["detail"] == "The box is closed."

    def test_the_same_intent_under_another_key_is_flagged_and_people_look(self):
        agent = client_for()
        first = agent.propose(params={"toy": "bear", "colour": "blue"}).json()
        again = agent.propose(params={"colour": "blue", "toy": "bear"}, run="other").json()
        assert again["possible_duplicate_of"] == first["id"]
        assert again["conflicts_with"] == [first["id"]]
        work()
        statuses = [agent.get(f"/proposals/{each['id']}").json() for each in (first, again)]
        assert [each["status"] for each in statuses] == ["committed", "pending"]

    def test_an_action_not_granted_looks_like_one_that_does_not_exist(self):
        agent = client_for(make_agent("narrow-bot", grants=["records.*"]))
        ungranted = assert_problem(agent.propose(), 403, "action-not-granted")
        unknown = assert_problem(agent.propose(action="no.such"), 403, "action-not-granted")
        internal = assert_problem(
            client_for().propose(action="toys.restore"), 403, "action-not-granted"
        )
        assert ungranted == unknown == internal

    def test_a_suspended_agent_takes_nothing_back(self):
        agent = make_agent()
        written, client = make_checked(agent=agent), client_for(agent)
        suspend(agent)
        before = rows()
        refused = client.post(f"/proposals/{written.pk}/undo", {"rationale": "No."})
        assert_problem(refused, 403, "agent-suspended")
        assert rows() == before

    def test_a_suspended_agent_may_read_but_not_propose(self):
        agent = make_agent()
        proposal = make_proposal(agent=agent, key="before")
        suspend(agent)
        client = client_for(agent)
        assert_problem(client.propose(), 403, "agent-suspended")
        assert client.get("/me").json()["suspended"] is True
        assert_proposal(client.get(f"/proposals/{proposal.pk}"))
        revised = client.post(f"/proposals/{proposal.pk}/revisions", {"rationale": "x"})
        assert_problem(revised, 403, "agent-suspended")

    def test_parameters_that_do_not_fit_are_named_by_pointer(self):
        agent = client_for()
        wrong = {"toy": "lion", "colour": 7, "more": 1}
        problem = assert_problem(agent.propose(params=wrong), 400, "invalid-params")
        assert {fault["pointer"] for fault in problem["errors"]} == {
            "/params/toy",
            "/params/colour",
            "/params/more",
        }
        assert "lion" not in str(problem)


class TestWaiting:
    def test_zero_is_applied_at_once(self):
        response = client_for().propose(prefer="wait=0")
        assert response["Preference-Applied"] == "wait=0"
        assert response.json()["status"] == "submitted"

    def test_a_wait_ends_after_its_seconds(self):
        started = time.monotonic()
        response = client_for().propose(prefer="respond-async, wait=1")
        assert 0.9 < time.monotonic() - started < 3
        assert response["Preference-Applied"] == "wait=1"
        assert response.json()["status"] == "submitted"

    def test_what_rests_is_answered_at_once(self):
        proposal = make_checked(params=painting(tier="medium"))
        started = time.monotonic()
        response = client_for(proposal.agent).get(f"/proposals/{proposal.pk}", prefer="wait=30")
        assert time.monotonic() - started < 5
        assert response["Preference-Applied"] == "wait=30"
        assert response.json()["status"] == "pending"

    @pytest.mark.parametrize(
        ("header", "understood"),
        [
            ("", None),
            ("wait=7", 7),
            ("WAIT = 7", 7),
            ('wait="7"', 7),
            ("return=minimal, wait=7; foo", 7),
            ("wait=31", 30),
            ("wait=999999999", 30),
            ("await=7", None),
            ("wait=-1", None),
            ("wait=1.5", None),
            ("wait=soon", None),
            ("wait=٣", None),
            ("wait", None),
            ("wait=" + "9" * 5000, None),
        ],
    )
    def test_a_preference_that_makes_no_sense_is_ignored(self, header, understood):
        assert patience.preferred_wait(header) == understood

    def test_one_that_was_not_waited_for_is_not_called_applied(self):
        for _ in range(8):
            patience.waiting.acquire()
        try:
            response = client_for().propose(prefer="wait=20")
        finally:
            patience.waiting.release(8)
        assert "Preference-Applied" not in response

    @pytest.mark.parametrize("taken", [0, 12])
    def test_whoever_waited_or_could_not_makes_room_again(self, taken):
        proposal = make_checked()
        for _ in range(taken):
            patience.places.acquire()
        try:
            waited = {patience.wait_for_machine(proposal.pk, 1) for _ in range(13)}
        finally:
            if taken:
                patience.places.release(taken)
        assert waited == {not taken}
        assert patience.wait_for_machine(proposal.pk, 1)


@pytest.mark.django_db(transaction=True)
def test_a_wait_ends_as_soon_as_the_worker_is_done():
    def work_in_a_while():
        time.sleep(0.3)
        work()
        connection.close()

    worker = threading.Thread(target=work_in_a_while)
    client, started = client_for(), time.monotonic()
    worker.start()
    response = client.propose(prefer="wait=20")
    worker.join()
    assert time.monotonic() - started < 10
    assert assert_proposal(response, 201)["status"] == "committed"


class TestReading:
    def test_others_proposals_do_not_exist(self):
        proposal, stranger = make_checked(), client_for(make_agent("stranger-bot"))
        for path in (f"/proposals/{proposal.pk}", f"/proposals/{uuid7()}", "/runs/run-1"):
            assert_problem(stranger.get(path), 404, "not-found")
        for verb in ("revisions", "undo", "withdraw"):
            data = {"rationale": "Mine now."} if verb != "withdraw" else {}
            refused = stranger.post(f"/proposals/{proposal.pk}/{verb}", data)
            absent = stranger.post(f"/proposals/{uuid4()}/{verb}", data)
            assert assert_problem(refused, 404, "not-found") == absent.json()
        assert stranger.get("/proposals").json()["results"] == []
        assert fresh(proposal).status == "committed"

    def test_pages_lead_forward_and_back(self):
        agent = make_agent()
        ids = [str(make_proposal(agent=agent, run=f"r{n}").pk) for n in range(7)][::-1]
        client = client_for(agent)
        first = page(client, "/proposals?limit=3")
        second = page(client, first["next"])
        third = page(client, second["next"])
        assert [names(each) for each in (first, second, third)] == [ids[:3], ids[3:6], ids[6:]]
        assert first["previous"] is None
        assert third["next"] is None
        back = page(client, third["previous"])
        assert names(back) == names(second)
        assert names(page(client, back["previous"])) == names(first)
        assert page(client, back["previous"])["previous"] is None
        assert "limit=3" in second["next"]

    def test_lists_are_narrowed_by_each_filter_and_by_all(self):
        agent = make_agent()
        committed = make_checked(agent=agent, run="a")
        pending = make_checked(agent=agent, run="b", params=painting(tier="medium", toy="duck"))
        client = client_for(agent)
        for query, found in [
            ("status=committed", [committed]),
            ("status=pending&run=b", [pending]),
            ("run=a", [committed]),
            ("run=none", []),
            ("action=toys.set", [pending, committed]),
            ("action=no.such", []),
            (f"resource={quote('toys/duck')}", [pending]),
            ("status=committed&run=b", []),
        ]:
            results = names(page(client, f"/proposals?{query}"))
            assert results == [str(each.pk) for each in found], query

    def test_the_menu_shows_what_is_granted_and_nothing_internal(self):
        menu = client_for().get("/actions")
        answers.Menu.model_validate_json(menu.content)
        [item] = [each for each in menu.json()["results"] if each["name"].startswith("toys.")]
        assert item["name"] == "toys.set"
        assert (item["delivery"], item["reversible"]) == ("transactional", True)
        assert item["schema"]["properties"]["toy"]["enum"] == ["bear", "duck", "car"]
        one = client_for().get("/actions/toys.set")
        answers.MenuItem.model_validate_json(one.content)
        assert one.json() == item
        narrow = client_for(make_agent("narrow-bot", grants=["records.*"]))
        for hidden in ("toys.set", "toys.restore", "no.such"):
            assert_problem(narrow.get(f"/actions/{hidden}"), 404, "not-found")
        assert_problem(client_for().get("/actions/toys.restore"), 404, "not-found")
        assert "toys.set" not in str(narrow.get("/actions").json())

    @pytest.mark.parametrize("name", ["nightly", "a/b", "ends/", "?#%&", "Ärger 8", "x" * 128])
    def test_a_run_of_any_name_is_counted(self, name):
        agent = make_agent()
        make_checked(agent=agent, run=name)
        make_proposal(agent=agent, run=name, params=painting("green"))
        response = client_for(agent).get(f"/runs/{quote(name, safe='')}")
        answers.Run.model_validate_json(response.content)
        run = response.json()
        assert (run["run"], run["total"]) == (name, 2)
        assert run["counts"] == {"committed": 1, "submitted": 1}
        assert [each["status"] for each in run["proposals"]] == ["submitted", "committed"]

    def test_budgets_tell_nothing_of_what_others_write_to(self):
        other = make_agent("other-bot")
        make_checked(agent=other, params=painting("pink", toy="duck"))
        agent = make_agent()
        make_checked(agent=agent)
        budget = Budget(
            name="Writes to one toy",
            unit="writes",
            limit=10,
            window_seconds=60,
            per_resource=True,
            resource_pattern="*/*",
        )
        services.save_budget(budget=budget, person=None, is_new=True)
        for each, toy in ((other, "duck"), (agent, "bear")):
            make_checked(agent=each, params=painting("red", toy=toy))
        response = client_for(agent).get("/budgets")
        answers.Budgets.model_validate_json(response.content)
        named = [each for each in response.json()["results"] if each["budget"] == budget.name]
        assert [each["scope"]["resource"] for each in named] == ["toys/bear"]
        assert "duck" not in response.content.decode()

    def test_me_says_who_and_how_long(self):
        agent = make_agent(grants=["toys.*", "records.*"])
        token = token_for(agent)
        response = AgentClient(token).get("/me")
        answers.Me.model_validate_json(response.content)
        assert response.json() == {
            "id": str(agent.pk),
            "name": "billing-bot",
            "owner": "otto",
            "suspended": False,
            "grants": ["records.*", "toys.*"],
            "token": {
                "key_id": token[3:19],
                "expires_at": response.json()["token"]["expires_at"],
            },
        }
