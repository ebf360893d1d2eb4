"""One key, one effect: repeats, races, refusals and keys that are still in flight."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from django.db import connection, connections

from budgets.models import Budget
from ledger.models import LedgerEntry
from proposals import services
from proposals.exceptions import TargetRefused
from proposals.models import IdempotencyKey, Proposal, Review
from proposals.services import storing, submission
from tests.contract import assert_problem, assert_proposal, rows
from tests.factories import (
    AgentClient,
    approve,
    body,
    client_for,
    fresh,
    make_agent,
    make_checked,
    make_person,
    make_proposal,
    painting,
    review,
    token_for,
    work,
)

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("toybox")]
REPEATS = 50


def all_at_once(requests):
    """Send these from as many threads, each with a database connection of its own."""
    start = threading.Barrier(len(requests))

    def send(request):
        start.wait()
        try:
            return request()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(requests)) as pool:
        return list(pool.map(send, requests))


def is_replay(response):
    return response.get("Idempotent-Replayed") == "true"


@contextmanager
def held_open(toybox, request, then=None):
    """The request in a thread, paused inside its transaction until the event is set.

    It goes on to be stored, or to fail with the exception given.
    """
    arrived, release = threading.Event(), threading.Event()

    def pause():
        toybox.at_intake = lambda: None
        arrived.set()
        assert release.wait(20)
        if then is not None:
            raise then

    toybox.at_intake = pause
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(all_at_once, [request])
        assert arrived.wait(10)
        try:
            yield release, first
        finally:
            release.set()


class TestRaces:
    def test_fifty_identical_requests_are_one_proposal_and_one_effect(self, toybox):
        agent = make_agent()
        token, data = token_for(agent), body()
        AgentClient(token).get("/me")
        answers = all_at_once(
            [lambda: AgentClient(token).post("/proposals", data, key="once")] * REPEATS
        )
        first = [answer for answer in answers if answer.status_code == 201]
        assert len(first) == 1, sorted(answer.status_code for answer in answers)
        assert not is_replay(first[0])
        named = {
            assert_proposal(answer, answer.status_code)["id"]
            for answer in answers
            if answer is first[0] or is_replay(answer)
        }
        assert named == {first[0].json()["id"]}
        assert sum(is_replay(answer) for answer in answers) == REPEATS - 1
        work()
        proposal = Proposal.objects.get()
        assert proposal.status == "committed"
        assert len(toybox.effects) == 1
        kinds = list(LedgerEntry.objects.filter(stream=proposal.stream).order_by("number"))
        assert [entry.kind for entry in kinds] == [
            "proposal.submitted",
            "proposal.checked",
            "proposal.approved",
            "execution.claimed",
            "execution.intended",
            "proposal.committed",
        ]
        last = AgentClient(token).post("/proposals", data, key="once")
        assert (last.status_code, last.json()["status"]) == (200, "committed")

    def test_of_identical_requests_for_the_last_slot_one_is_stored_and_none_refused(self):
        make_person()
        budget = Budget(name="One", unit="proposals", limit=1, window_seconds=60)
        services.save_budget(budget=budget, person=None, is_new=True)
        token = token_for(make_agent())
        answers = all_at_once(
            [lambda: AgentClient(token).propose(key="last", run="r")] * 8
            + [lambda n=n: AgentClient(token).propose(key=f"k{n}", run="r") for n in range(8)]
        )
        late = AgentClient(token).propose(key="last", run="r")
        if late.status_code == 429:  # another key took the slot
            assert not any(each.status_code == 200 for each in answers[:8])
        else:
            assert sorted(each.status_code for each in answers[:8]) == [200] * 7 + [201]
        assert Proposal.objects.count() == 1
        for each in answers:
            if each.status_code == 429:
                assert_problem(each, 429, "budget-exceeded")
                assert int(each["Retry-After"]) <= 60
                assert each["RateLimit"].startswith('"one";r=0;t=')
                assert each["RateLimit-Policy"] == '"one";q=1;w=60'

    def test_of_different_bodies_under_one_key_one_is_stored(self):
        token = token_for(make_agent())
        answers = all_at_once(
            [
                lambda n=n: AgentClient(token).propose(key="k", params=painting(f"shade {n}"))
                for n in range(12)
            ]
        )
        assert sorted(answer.status_code for answer in answers) == [201] + [422] * 11
        assert Proposal.objects.count() == IdempotencyKey.objects.count() == 1

    def test_of_the_same_under_two_keys_at_once_one_needs_people(self, monkeypatch):
        look = submission.same_intent

        def look_and_be_slow(*given):
            found = look(*given)
            time.sleep(0.3)
            return found

        monkeypatch.setattr(submission, "same_intent", look_and_be_slow)
        make_person()
        token = token_for(make_agent())
        AgentClient(token).get("/me")
        answers = all_at_once([lambda: AgentClient(token).propose()] * 3)
        stored = [assert_proposal(answer, 201) for answer in answers]
        assert sorted(each["possible_duplicate_of"] is None for each in stored) == [0, 0, 1]
        work()
        statuses = Proposal.objects.values_list("status", flat=True)
        assert sorted(statuses) == ["committed", "pending", "pending"]

    def test_an_amendment_to_what_is_asked_at_the_same_time_needs_people(self, monkeypatch):
        looked, agent = threading.Event(), make_agent()
        make_person()
        token, other = (
            token_for(agent),
            make_checked(agent=agent, params=painting("teal", tier="medium")),
        )
        look = storing.same_intent

        def look_and_be_slow(*given):
            found = look(*given)
            looked.set()
            time.sleep(0.3)
            return found

        def amend():
            assert looked.wait(10)
            path = f"/proposals/{other.pk}/revisions"
            return AgentClient(token).post(path, {"params": painting("pink")}, key="amended")

        monkeypatch.setattr(submission, "same_intent", look_and_be_slow)
        asked, amended = all_at_once(
            [lambda: AgentClient(token).propose(params=painting("pink")), amend]
        )
        assert asked.status_code == amended.status_code == 201
        assert str(fresh(other).duplicate_of_id) == asked.json()["id"]

    def test_of_many_undos_one_is_stored(self):
        forward = make_checked()
        token = token_for(forward.agent)
        path = f"/proposals/{forward.pk}/undo"
        answers = all_at_once(
            [lambda n=n: AgentClient(token).post(path, key=f"undo-{n % 4}") for n in range(12)]
        )
        stored = [answer for answer in answers if answer.status_code == 201]
        assert len(stored) == 1
        for answer in answers:
            if is_replay(answer):
                assert answer.json()["id"] == stored[0].json()["id"]
            elif answer is not stored[0]:
                assert_problem(answer, 409, "already-undone")
        assert Proposal.objects.filter(compensates=forward).count() == 1

    def test_of_many_amendments_each_key_makes_one_revision(self):
        proposal = make_checked(params=painting(tier="medium"))
        token = token_for(proposal.agent)
        path = f"/proposals/{proposal.pk}/revisions"
        answers = all_at_once(
            [
                lambda n=n: AgentClient(token).post(
                    path, {"rationale": f"r{n % 3}"}, key=f"{n % 3}"
                )
                for n in range(12)
            ]
        )
        assert sorted(answer.status_code for answer in answers) == [200] * 9 + [201] * 3
        assert fresh(proposal).revision_number == proposal.revisions.count() == 4


class TestInFlight:
    def test_a_repeat_waits_two_seconds_and_is_told(self, toybox):
        token = token_for(make_agent())
        AgentClient(token).get("/me")

        def propose():
            return AgentClient(token).propose(key="slow")

        with held_open(toybox, propose) as (release, first):
            before = rows()
            started = time.monotonic()
            second = propose()
            waited = time.monotonic() - started
            assert rows() == before
            problem = assert_problem(second, 409, "idempotency-in-flight")
            assert (second["Retry-After"], problem["retry_after"]) == ("1", 1)
            assert 1.8 < waited < 10
            if connection.vendor == "postgresql":  # SQLite has one writer, whom every key waits for
                other = AgentClient(token).propose(key="other", run="other")
                assert_proposal(other, 201)
            release.set()
            assert_proposal(first.result(10)[0], 201)
        third = propose()
        assert assert_proposal(third, 200)["id"] == first.result()[0].json()["id"]
        assert is_replay(third)

    def test_a_repeat_that_need_not_wait_long_is_a_replay(self, toybox):
        token = token_for(make_agent())
        AgentClient(token).get("/me")
        with held_open(toybox, lambda: AgentClient(token).propose(key="slow")) as (release, first):
            threading.Timer(0.5, release.set).start()
            second = AgentClient(token).propose(key="slow")
            assert is_replay(second)
            assert second.json()["id"] == first.result(10)[0].json()["id"]

    def test_when_the_first_is_rolled_back_the_waiting_repeat_takes_its_place(self, toybox):
        token = token_for(make_agent())
        AgentClient(token).get("/me")

        def propose():
            return AgentClient(token).propose(key="slow")

        with held_open(toybox, propose, then=TargetRefused) as (release, first):
            threading.Timer(0.5, release.set).start()
            assert_proposal(propose(), 201)
            assert first.result(10)[0].status_code == 500
        assert Proposal.objects.count() == IdempotencyKey.objects.count() == 1

    def test_another_body_waits_as_well_and_is_refused(self, toybox):
        token = token_for(make_agent())
        AgentClient(token).get("/me")
        with held_open(toybox, lambda: AgentClient(token).propose(key="slow")) as (release, _):
            threading.Timer(0.5, release.set).start()
            other = AgentClient(token).propose(key="slow", rationale="Other.")
            assert_problem(other, 422, "idempotency-key-reused")


@pytest.mark.django_db
class TestRepeats:
    def test_a_replay_shows_the_proposal_as_it_stands_now(self):
        agent = client_for()
        first = agent.propose(key="k", params=painting(tier="medium"))
        seen = []
        for step in (work, lambda: approve(Proposal.objects.get()), work):
            step()
            again = agent.propose(key="k", params=painting(tier="medium"))
            assert is_replay(again)
            assert assert_proposal(again)["id"] == first.json()["id"]
            seen.append(again.json()["status"])
        assert seen == ["pending", "approved", "committed"]
        final = agent.propose(key="k", params=painting(tier="medium")).content
        assert all(
            agent.propose(key="k", params=painting(tier="medium")).content == final
            for _ in range(20)
        )

    def test_the_same_body_is_the_same_whatever_its_spelling(self):
        agent = client_for()
        first = agent.post(
            "/proposals",
            b'{"action":"toys.set","run":"r","rationale":"caf\\u00e9",'
            b'"params":{"toy":"bear","colour":"blue","note":[1,1.5,true]},"expires_in":3600}',
            key="k",
        )
        assert_proposal(first, 201)
        for spelling in (
            '\n{"params": {"colour": "blue", "note": [1.0, 15e-1, true], "toy": "bear"},'
            ' "rationale": "café", "run": "r", "expires_in": 3.6e3, "action": "toys.set"}\t',
            '{"action":"toys.set","run":"\\u0072","rationale":"caf\\u00E9",'
            '"params":{"toy":"bear","note":[1,1.50,true],"colour":"blue"},"expires_in":3600}',
        ):
            again = agent.post("/proposals", spelling.encode(), key="k")
            assert assert_proposal(again)["id"] == first.json()["id"]

    @pytest.mark.parametrize(
        "change",
        [
            {"rationale": "The child asked for it. "},
            {"run": "run-2"},
            {"params": {"toy": "bear", "colour": "Blue"}},
            {"params": {"toy": "bear", "colour": "blue", "tier": "low"}},
            {"params": {"toy": "bear", "colour": "blue", "note": None}},
            {"evidence": []},
            {"expires_in": 3600},
            {"context": {}},
        ],
    )
    def test_another_value_is_another_body_and_nothing_is_written_or_shown(self, change):
        agent = client_for()
        agent.propose(key="k")
        before = rows()
        refused = agent.propose(key="k", **change)
        assert_problem(refused, 422, "idempotency-key-reused")
        assert b"bear" not in refused.content
        assert rows() == before

    def everything_that_takes_a_key(self):
        """An agent, and what it may post under a key: where, and with which body."""
        committed = make_checked(run="a")
        pending = make_checked(agent=committed.agent, params=painting(tier="medium"))
        agent = client_for(committed.agent)
        posts = {
            "/proposals": body(run="b"),
            f"/proposals/{pending.pk}/revisions": {"rationale": "Better."},
            f"/proposals/{committed.pk}/undo": {"rationale": "Better."},
        }
        return agent, posts

    @pytest.mark.parametrize("other", [{"colour": "blue"}, {}, [], {"params": 7, "rationale": ""}])
    def test_a_used_key_is_told_before_what_is_wrong_with_the_other_body(self, other):
        agent, posts = self.everything_that_takes_a_key()
        for number, (path, data) in enumerate(posts.items()):
            assert_proposal(agent.post(path, data, key=f"key of {number}"), 201)
            before = rows()
            refused = agent.post(path, other, key=f"key of {number}")
            assert_problem(refused, 422, "idempotency-key-reused")
            if not (other == {} and path.endswith("/undo")):  # for an undo, no body is sound
                assert agent.post(path, other, key="new").status_code == 400
                assert_problem(agent.post(path, other, key="nö"), 400, "invalid-request")
            assert rows() == before

    def test_a_key_used_on_one_endpoint_is_taken_on_all(self):
        agent, posts = self.everything_that_takes_a_key()
        for number, (path, data) in enumerate(posts.items()):
            assert_proposal(agent.post(path, data, key=f"key of {number}"), 201)
            for other, other_data in posts.items():
                if other != path:
                    refused = agent.post(other, other_data, key=f"key of {number}")
                    assert_problem(refused, 422, "idempotency-key-reused")

    def test_a_key_belongs_to_its_agent(self):
        mine, theirs = client_for(), client_for(make_agent("other-bot"))
        first = mine.propose(key="shared")
        second = theirs.propose(key="shared", run="other")
        assert assert_proposal(second, 201)["id"] != first.json()["id"]
        assert not is_replay(second)

    def test_a_refusal_gives_the_key_back(self):
        narrow = make_agent("narrow-bot", grants=[])
        agent = client_for(narrow)
        for refused in (
            agent.propose(key="k"),
            agent.propose(key="k", rationale=""),
            agent.propose(key="k", rationale="\0"),
            agent.post("/proposals", b"{", key="k"),
            agent.post("/proposals", b"x" * (256 * 1024 + 1), key="k"),
            agent.post("/proposals", b"a=b", key="k", content_type="text/plain"),
            AgentClient("wrong").propose(key="k"),
        ):
            assert refused.status_code in {400, 401, 403, 413, 415}
        make_agent("narrow-bot", grants=["toys.set"])
        assert agent.propose(key="k", params={"toy": "lion"}).status_code == 400
        assert_proposal(agent.propose(key="k"), 201)
        assert is_replay(agent.propose(key="k"))

    @pytest.mark.parametrize("end", ["reject", "withdraw"])
    def test_what_was_refused_by_people_or_taken_back_keeps_its_key(self, end):
        agent = client_for()
        first = agent.propose(key="k", params=painting(tier="medium")).json()
        work()
        if end == "reject":
            review(Proposal.objects.get(), "reject")
        else:
            agent.post(f"/proposals/{first['id']}/withdraw")
        again = agent.propose(key="k", params=painting(tier="medium"))
        assert is_replay(again)
        assert again.json()["status"] == {"reject": "rejected", "withdraw": "withdrawn"}[end]
        assert Review.objects.count() == (end == "reject")

    def test_a_suspended_agent_still_gets_its_replay(self):
        proposal = make_proposal(key="k")
        proposal.agent.is_suspended = True
        proposal.agent.save()
        again = client_for(proposal.agent).propose(key="k")
        assert assert_proposal(again)["id"] == str(proposal.pk)


@pytest.mark.django_db
class TestKeys:
    @pytest.mark.parametrize("key", ["x", "~", "a b", "é".encode().hex(), "k" * 255, '"quoted"'])
    def test_printable_ascii_up_to_255_is_a_key(self, key):
        agent = client_for()
        assert_proposal(agent.propose(key=key), 201)
        assert is_replay(agent.propose(key=key))

    @pytest.mark.parametrize(
        "key", ["k" * 256, "a\tb", "a\x7fb", "schlüssel", "a\x00b", " padded", "\x80", "ключ"]
    )
    def test_anything_else_is_not(self, key):
        proposal = make_checked()
        agent = client_for(proposal.agent)
        before = rows()
        for path, data in every_post(proposal):
            assert_problem(post_with_key(agent, path, data, key), 400, "idempotency-key-invalid")
        assert rows() == before

    @pytest.mark.parametrize("key", [None, "", " "])
    def test_no_key_is_missing(self, key):
        proposal = make_checked()
        agent = client_for(proposal.agent)
        before = rows()
        for path, data in every_post(proposal):
            assert_problem(post_with_key(agent, path, data, key), 400, "idempotency-key-missing")
        assert rows() == before


def every_post(proposal):
    """Each POST that creates, with a body that would be accepted."""
    return [
        ("/proposals", body()),
        (f"/proposals/{proposal.pk}/revisions", {"rationale": "Better."}),
        (f"/proposals/{proposal.pk}/undo", {}),
    ]


def post_with_key(agent, path, data, key):
    """As it arrives from a server, where a header is any text or absent."""
    extra = {} if key is None else {"HTTP_IDEMPOTENCY_KEY": key}
    return agent.http.post(
        f"/api/v1{path}", data, content_type="application/json", headers=agent.headers, **extra
    )
