"""The provider's SMTP: a relay that takes a message, or not, and may not say which."""

import asyncio
from email import message_from_bytes
from email.header import decode_header, make_header

from bench.chaos.provider import behaviour
from bench.chaos.provider.behaviour import Answer, Provider
from bench.chaos.provider.book import Write
from bench.chaos.provider.web import gone, tear

SAID = {
    behaviour.TAKEN: b"250 2.0.0 Taken\r\n",
    behaviour.REFUSED: b"554 5.7.1 Refused\r\n",
    behaviour.TOO_MANY: b"451 4.7.0 Later, please\r\n",
    behaviour.BROKEN: b"421 4.3.0 Something went wrong\r\n",  # with the message, or without it
    behaviour.UNDER_WAY: b"421 4.3.0 Busy with it\r\n",
}
PLAIN_ANSWERS = {
    b"EHLO": b"250-provider\r\n250 8BITMIME\r\n",
    b"HELO": b"250 provider\r\n",
    b"MAIL": b"250 2.1.0 Fine\r\n",
    b"RCPT": b"250 2.1.5 Fine\r\n",
    b"RSET": b"250 2.0.0 Fine\r\n",
    b"NOOP": b"250 2.0.0 Fine\r\n",
}


class Mail:
    """Serves a provider by SMTP: what is drawn befalls the end of a message."""

    def __init__(self, provider: Provider, patience: float) -> None:
        self.provider, self.patience = provider, patience

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            writer.write(b"220 provider at your service\r\n")
            while line := await reader.readline():
                verb = line[:4].upper()
                if verb == b"QUIT":
                    writer.write(b"221 2.0.0 Goodbye\r\n")
                    await writer.drain()
                    return
                if verb == b"DATA":
                    writer.write(b"354 Go on\r\n")
                    await writer.drain()
                    message = await reader.readuntil(b"\r\n.\r\n")
                    if not await self.send(self.take(message), reader, writer):
                        return
                else:
                    writer.write(PLAIN_ANSWERS.get(verb, b"500 5.5.1 What?\r\n"))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, TimeoutError):
            pass  # the client has gone
        finally:
            writer.close()

    def take(self, message: bytes) -> Answer:
        """The subject says what it is about; the message's id is all it is known by."""
        parsed = message_from_bytes(message)
        subject = str(make_header(decode_header(parsed.get("Subject", ""))))
        return self.provider.write(Write(behaviour.MAIL, subject, parsed.get("Message-ID", "")))

    async def send(
        self, answer: Answer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        """Say it, or whatever leaves in its place. False when that was the end."""
        if answer.leaves in {behaviour.NEVER, behaviour.SLOWLY}:
            await gone(reader, self.patience)
        if answer.leaves in {behaviour.NEVER, behaviour.CLOSED}:
            return False
        if answer.leaves == behaviour.TORN:
            tear(writer)
            return False
        nonsense = answer.leaves == behaviour.AS_NONSENSE
        writer.write(b"<html>\r\n" if nonsense else SAID[answer.status])
        await writer.drain()
        return True
