"""A freeze under load: after it has committed, no intent is written until it is lifted.

COUNTERSIGN_FREEZE_FLIPS=200 runs the long form.
"""

import os
import threading
import time

import pytest
from django.db import connections

from ledger.models import LedgerEntry
from proposals import dispatch, services
from proposals.exceptions import WritesFrozen
from tests import factories

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("toybox")]
FLIPS = int(os.environ.get("COUNTERSIGN_FREEZE_FLIPS", "12"))
WORKERS = 4


def intents() -> int:
    return LedgerEntry.objects.filter(kind="execution.intended").count()


def test_no_intent_is_written_after_a_freeze_has_committed():
    factories.make_person()
    agents = [factories.make_agent(f"bot-{number}") for number in range(WORKERS)]
    stop, failures = threading.Event(), []

    def work(agent) -> None:
        """Propose, check and commit, as fast as it goes; a frozen house only makes it wait."""
        try:
            number = 0
            while not stop.is_set():
                number += 1
                toy = ("bear", "duck", "car")[number % 3]
                try:
                    proposal = factories.make_proposal(
                        agent=agent, params=factories.painting(f"{agent.name} {number}", toy=toy)
                    )
                except WritesFrozen:
                    time.sleep(0.002)
                    continue
                dispatch.check_and_commit(proposal.pk)
        except Exception as error:
            failures.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=work, args=(agent,)) for agent in agents]
    for thread in threads:
        thread.start()
    try:
        wrong = written = 0
        for _ in range(FLIPS):
            before = intents()
            deadline = time.monotonic() + 10
            while intents() == before and time.monotonic() < deadline:
                time.sleep(0.005)
            written += intents() > before
            freeze = services.freeze(reason="Under load.")
            after = intents()
            time.sleep(0.05)
            wrong += intents() != after
            services.lift(freeze_id=freeze.pk, reason="Go on.")
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert not failures
    assert written == FLIPS, "there was no load between the freezes"
    assert wrong == 0
    print(f"{wrong} of {FLIPS} flips had an intent after the freeze; {intents()} intents in all")
