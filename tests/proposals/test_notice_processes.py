"""The real processes: a worker that was rung sends, and without any worker the clock does."""

import pytest

from ledger.models import LedgerEntry
from proposals import services
from proposals.models import Letter
from tests.post import SENDER
from tests.processes import eventually, running
from tests.proposals.test_notices import eager

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.processes]


@pytest.mark.parametrize("process", ["worker", "clock"])
def test_a_mail_leaves_by_whichever_process_there_is(process, mails, shop, tmp_path):
    olga = eager("olga", groups=["operators"])
    server = {
        "EMAIL_URL": f"smtp://127.0.0.1:{mails.port}",
        "DEFAULT_FROM_EMAIL": SENDER,
        "COUNTERSIGN_URL": "http://127.0.0.1:8000",
    }
    with running(process, shop_url=shop.url, folder=tmp_path, **server):
        services.freeze(reason="Prices look wrong.")
        eventually(lambda: mails.to(olga.username), within=60, what="the mail")
        eventually(
            lambda: Letter.objects.filter(state=Letter.State.SENT).exists(), what="its record"
        )
    assert len(mails.mails) == 1
    assert LedgerEntry.objects.filter(kind="freeze.set").count() == 1
    assert "http://127.0.0.1:8000/stop/" in mails.mails[0].get_content()
