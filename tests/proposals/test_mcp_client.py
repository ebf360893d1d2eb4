"""The official client of the Model Context Protocol, as its makers ship it, at a real server."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from proposals.models import Proposal
from tests.factories import make_agent, make_person, token_for, work
from tests.installations import OnRedis
from tests.processes import environment

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.processes]
Speaking = Callable[[Client], Awaitable[Any]]


class Host:
    """Whatever a model lives in: it connects anew for each thing that it does."""

    def __init__(self, address: str, token: str, mode: str) -> None:
        self.address, self.mode = f"{address}/mcp", mode
        self.headers = {"Authorization": f"Bearer {token}"}

    def does(self, speaks: Speaking) -> Any:
        async def connected() -> Any:
            async with httpx2.AsyncClient(headers=self.headers, timeout=30) as http:
                transport = streamable_http_client(self.address, http_client=http)
                async with Client(transport, mode=self.mode) as client:
                    return await speaks(client)

        return asyncio.run(connected())

    def tools(self) -> dict[str, Any]:
        listed = self.does(lambda client: client.list_tools())
        return {tool.name: tool for tool in listed.tools}

    def call(self, tool: str, **arguments: Any) -> Any:
        return self.does(lambda client: client.call_tool(tool, arguments))


@pytest.fixture(scope="module", autouse=True)
def _quiet():
    """The client tells of its own doings at a level that tests show."""
    import logging

    logging.getLogger("mcp").setLevel(logging.CRITICAL)


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_proposes_asks_withdraws_and_undoes(shop, tmp_path, mode):
    agent = make_agent("shop-assistant", owner=make_person("otto", groups=()), grants=["records.*"])
    token = token_for(agent)
    web = OnRedis("web", environment(shop.url), tmp_path / "web.log", web_processes=1).start()
    try:
        host = Host(web.address(), token, mode)
        refuses_a_stranger(Host(web.address(), "cs_wrong", mode))
        spoken = host.does(protocol)
        assert spoken == {"auto": "2026-07-28", "legacy": "2025-11-25"}[mode]
        offers_what_is_granted(host.tools())
        commits_and_is_undone(host, shop)
        is_taken_back(host)
        is_refused(host)
    finally:
        web.stop()


async def protocol(client: Client) -> Any:
    return client.session.protocol_version


def refuses_a_stranger(stranger: Host) -> None:
    with pytest.raises(BaseException):  # noqa: B017, PT011 - a group of a group of its own
        stranger.tools()


def offers_what_is_granted(tools: dict[str, Any]) -> None:
    assert set(tools) == {
        *("records.create", "records.update", "records.archive"),
        *("get_proposal", "withdraw_proposal", "undo_proposal"),
    }
    assert tools["get_proposal"].annotations.read_only_hint
    assert tools["records.update"].annotations.destructive_hint
    assert not tools["records.create"].annotations.destructive_hint


def draft(key: str, subject: str) -> dict[str, Any]:
    values = {"order_id": 1, "subject": subject, "body": "b", "state": "open"}
    return {
        "idempotency_key": key,
        "params": {"table": "shop.drafts", "values": values},
        "run": "support-17",
        "rationale": "The customer asked for it.",
    }


def commits_and_is_undone(host: Host, shop: Any) -> None:
    proposed = host.call("records.create", **draft("one", "Hello"))
    assert not proposed.is_error
    work()
    asked = host.call("get_proposal", proposal_id=proposed.structured_content["id"])
    assert asked.structured_content["status"] == "committed"
    assert "was written" in asked.content[0].text
    again = host.call("records.create", **draft("one", "Hello"))
    assert again.structured_content["id"] == proposed.structured_content["id"]
    undo = host.call(
        "undo_proposal", proposal_id=proposed.structured_content["id"], idempotency_key="undo"
    )
    assert undo.structured_content["compensates"] == proposed.structured_content["id"]
    written = "SELECT count(*) FROM drafts WHERE subject = 'Hello'"
    assert shop.rows(f"{written} AND archived_at IS NULL") == [(1,)]
    work()
    assert shop.rows(written) == [(1,)]
    assert shop.rows(f"{written} AND archived_at IS NULL") == [(0,)]


def is_taken_back(host: Host) -> None:
    proposed = host.call("records.create", **draft("two", "Never"))
    taken = host.call("withdraw_proposal", proposal_id=proposed.structured_content["id"])
    assert taken.structured_content["status"] == "withdrawn"


def is_refused(host: Host) -> None:
    before = Proposal.objects.count()
    reused = host.call("records.create", **draft("one", "Other"))
    assert (reused.is_error, reused.structured_content["code"]) == (True, "idempotency-key-reused")
    ungranted = host.call("email.send", **draft("three", "Hello"))
    assert ungranted.structured_content["code"] == "action-not-granted"
    assert Proposal.objects.count() == before
