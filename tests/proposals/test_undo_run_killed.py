"""The undo of a run while its clock is killed at random moments: every write is undone once."""

import random
import time

import pytest
from django.db.models import Count

from ledger.verify import Result, verify
from proposals import services
from proposals.models import Proposal, RunUndo
from tests import factories
from tests.processes import Process, environment, eventually, running

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.processes]
KILLS = 4


def rename(agent, key: str, subject: str) -> Proposal:
    change = {"table": "shop.drafts", "key": key, "set": {"subject": subject}}
    return factories.make_checked(agent=agent, action="records.update", params=change)


def test_a_clock_killed_at_random_moments_undoes_each_write_once(shop, tmp_path):
    seed = int(time.time())
    print("seed", seed)
    moments = random.Random(seed)
    olga = factories.make_person("olga", groups=["operators"])
    agent = factories.make_agent("shop-assistant", grants=["records.*"])
    found = "SELECT id, subject FROM drafts WHERE archived_at IS NULL ORDER BY id LIMIT 4"
    before = shop.rows(found)
    writes = [
        rename(agent, str(key), f"{subject} {turn}") for turn in (1, 2) for key, subject in before
    ]
    assert {one.status for one in writes} == {"committed"}
    services.undo_run(run_id=writes[0].run_id, person=olga, reason="The agent was misled.")

    clock = Process("clock", environment(shop.url), tmp_path / "clock.log").start()
    try:
        with running("worker", shop_url=shop.url, folder=tmp_path):
            for _ in range(KILLS):
                time.sleep(moments.uniform(1, 4))
                clock.kill()
                clock.start()
            eventually(
                lambda: RunUndo.objects.exclude(finished_at=None).exists(),
                within=90,
                what="the end of the undo",
            )
    finally:
        clock.stop()

    assert shop.rows(found) == before
    assert set(RunUndo.objects.get().steps.values_list("state", flat=True)) == {"done"}
    undos = Proposal.objects.filter(compensates__isnull=False)
    assert undos.count() == len(writes)
    assert not undos.values("compensates").annotate(n=Count("pk")).filter(n__gt=1).exists()
    assert verify().result is Result.INTACT
