"""The provider's HTTP: one request per connection, and answers that may not arrive whole."""

import asyncio
import json
import socket
import struct
from urllib.parse import parse_qs, urlsplit

from bench.chaos.provider import behaviour
from bench.chaos.provider.behaviour import Answer, Provider
from bench.chaos.provider.book import Write

NONSENSE = b"<html><body>Welcome to the guest network.</body></html>"
LINGER_NOT = struct.pack("ii", 1, 0)
LONGEST = 1024 * 1024


class Web:
    """Serves a provider. `patience` is a little more than any client waits for an answer."""

    def __init__(self, provider: Provider, patience: float) -> None:
        self.provider, self.patience = provider, patience

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            method, address, headers, body = await read_request(reader)
            answer = self.route(method, address, headers, body)
            await self.send(answer, reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError, TimeoutError):
            pass  # the client has gone
        finally:
            writer.close()

    def route(self, method: str, address: str, headers: dict[str, str], body: bytes) -> Answer:
        parts = urlsplit(address)
        target = parts.path.strip("/").split("/")[0]
        if target == "control":
            return self.control(json.loads(body or b"{}"))
        if target not in {behaviour.KEYED, behaviour.QUERYABLE, behaviour.PLAIN}:
            return Answer(404, {"error": "There is nothing here."})
        asked = {name: values[0] for name, values in parse_qs(parts.query).items()}
        if method == "GET":
            return self.provider.read(target, asked.get("reference", ""))
        said = json.loads(body)
        key = headers.get("idempotency-key", "") or said.get("reference", "")
        return self.provider.write(Write(target, said["memo"], key))

    def control(self, said: dict) -> Answer:
        """Not part of what the provider offers: the harness moves its time and its mood."""
        provider = self.provider
        provider.mode = said.get("mode", provider.mode)
        for business, script in said.get("script", {}).items():
            provider.script[business] = list(script)
        provider.pass_time(float(said.get("pass", 0)))
        return Answer(200, {"now": provider.now(), "travelling": len(provider.travelling)})

    async def send(
        self, answer: Answer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        if answer.leaves == behaviour.CLOSED:
            return
        if answer.leaves in {behaviour.NEVER, behaviour.SLOWLY}:
            await gone(reader, self.patience)
        if answer.leaves == behaviour.NEVER:
            return
        body = json.dumps(answer.body).encode()
        kind = b"application/json"
        if answer.leaves == behaviour.AS_NONSENSE:
            body, kind = NONSENSE, b"text/html"
        status = 200 if answer.leaves == behaviour.AS_NONSENSE else answer.status
        head = b"HTTP/1.1 %d Said\r\nContent-Type: %s\r\n" % (status, kind)
        head += b"Content-Length: %d\r\nConnection: close\r\n\r\n" % len(body)
        if answer.leaves == behaviour.TORN:
            writer.write(head + body[: len(body) // 2])
            await writer.drain()
            tear(writer)
            return
        writer.write(head + body)
        await writer.drain()


async def read_request(
    reader: asyncio.StreamReader,
) -> tuple[str, str, dict[str, str], bytes]:
    """Method, address, headers by their small letters, and the body."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.strip().split("\r\n")
    method, address, _ = first.split(" ", 2)
    headers = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    length = min(int(headers.get("content-length", "0")), LONGEST)
    return method, address, headers, await reader.readexactly(length)


async def gone(reader: asyncio.StreamReader, patience: float) -> None:
    """Wait until the client hangs up, or for longer than it should ever have waited."""
    try:
        async with asyncio.timeout(patience):
            while await reader.read(1024):
                pass
    except (TimeoutError, ConnectionError):
        pass


def tear(writer: asyncio.StreamWriter) -> None:
    """End the connection by a reset, not by a farewell."""
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NOT)
    writer.transport.abort()
