"""Messages of the embedded default: a worker sees a message whole, or does not see it yet."""

from pathlib import Path
from queue import Empty

import pytest
from kombu import Connection

from approvals_site import doorbells
from approvals_site.celery import app


@pytest.fixture
def channel(tmp_path):
    """A channel as the product opens it, on folders of its own."""
    for folder in ("queue", "processed", "control"):
        (tmp_path / folder).mkdir()
    options = {
        "data_folder_in": str(tmp_path / "queue"),
        "data_folder_out": str(tmp_path / "queue"),
        "control_folder": str(tmp_path / "control"),
        "processed_folder": str(tmp_path / "processed"),
        "store_processed": True,
    }
    transport = "approvals_site.doorbells:Transport"
    with Connection("filesystem://", transport=transport, transport_options=options) as found:
        yield found.default_channel


def test_are_what_the_product_rings_where_there_is_no_redis(settings):
    if settings.REDIS_URL:
        pytest.skip("Redis is set.")
    with app.connection_for_write() as connection:
        assert connection.transport_cls == "approvals_site.doorbells:Transport"
        assert isinstance(connection.default_channel, doorbells.Channel)


def test_nobody_takes_a_message_that_is_still_being_written(channel, monkeypatch):
    rename, looked = Path.rename, []

    def look_before(part, place):
        with pytest.raises(Empty):
            channel._get("bells")
        looked.append(part.read_text())
        return rename(part, place)

    monkeypatch.setattr(Path, "rename", look_before)
    channel._put("bells", {"id": "one"})
    assert looked == ['{"id": "one"}'], "it was whole before it had its name"
    assert channel._get("bells") == {"id": "one"}
    with pytest.raises(Empty):
        channel._get("bells")


def test_come_in_the_order_of_sending_to_their_own_queue(channel):
    for number in range(3):
        channel._put("bells", {"id": number})
        channel._put("others", {"id": "other"})
    assert [channel._get("bells")["id"] for _ in range(3)] == [0, 1, 2]


def test_a_folder_that_takes_nothing_is_an_error_of_the_channel(channel, tmp_path):
    (tmp_path / "queue").rename(tmp_path / "gone")
    with pytest.raises(doorbells.ChannelError):
        channel._put("bells", {"id": "one"})
