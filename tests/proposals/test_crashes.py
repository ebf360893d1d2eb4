"""Workers that die, and workers that are not there at all."""

import random
import time

import pytest
from django.db import connection

from bench.chaos.leases import short_leases
from ledger.models import LedgerEntry
from ledger.verify import Result, verify
from proposals.models import Execution, Proposal
from tests import factories
from tests.processes import AgentClient, Process, environment, eventually, running

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.processes]
# Twenty moments on the embedded default; on PostgreSQL the same worker starts as slowly.
KILLS = {"sqlite": 20, "postgresql": 8}


@pytest.fixture
def agent(live_server):
    owner = factories.make_person("olga", groups=["operators"])
    agent = factories.make_agent("shop-assistant", owner=owner, grants=["records.*"])
    return AgentClient(live_server.url, factories.token_for(agent))


def create_draft(agent: AgentClient, number: int) -> str:
    status, proposal, _ = agent.propose(
        f"draft-{number}",
        "records.create",
        {
            "table": "shop.drafts",
            "values": {"order_id": 1, "subject": f"crash {number}", "body": "b", "state": "open"},
        },
    )
    assert status == 201
    return proposal["id"]


def effects(shop) -> dict[str, int]:
    rows = shop.rows(
        "SELECT subject, count(*) FROM drafts WHERE substr(subject, 1, 6) = 'crash ' GROUP BY 1"
    )
    return dict(rows)


def test_a_worker_killed_at_twenty_random_moments_leaves_one_effect_each(agent, shop, tmp_path):
    seed = int(time.time())
    print("seed", seed)
    moments, kills = random.Random(seed), KILLS[connection.vendor]
    env = environment(shop.url, **short_leases(2))
    worker = Process("worker", env, tmp_path / "worker.log").start()
    ids = []
    with running("clock", shop_url=shop.url, folder=tmp_path, **short_leases(2)):
        for number in range(kills):
            ids += [create_draft(agent, 3 * number + offset) for offset in range(3)]
            # A started worker needs about two seconds; half of the kills fall into its work.
            time.sleep(moments.uniform(0, 0.6) if number % 2 else moments.uniform(1.5, 3))
            worker.kill()
            worker.start()
        try:
            eventually(
                lambda: Proposal.objects.filter(pk__in=ids, status="committed").count() == len(ids),
                within=60,
                what="the rest of every proposal",
            )
        finally:
            worker.stop()

    assert effects(shop) == {f"crash {number}": 1 for number in range(3 * kills)}
    assert not Execution.objects.open().exists()
    assert LedgerEntry.objects.filter(kind="proposal.committed").count() == len(ids)
    assert verify().result is Result.INTACT


def test_without_any_worker_the_clock_does_the_work(agent, shop, tmp_path):
    with running("clock", shop_url=shop.url, folder=tmp_path):
        proposal_id = create_draft(agent, 0)
        eventually(
            lambda: agent.get(proposal_id)["status"] == "committed",
            within=30,
            what="the clock's own commit",
        )
    assert effects(shop) == {"crash 0": 1}
