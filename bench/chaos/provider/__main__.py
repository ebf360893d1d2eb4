"""python -m bench.chaos.provider --folder F --seed 7 --patience 1

Says its two ports, HTTP and SMTP, in a line of its own, and serves until it is ended.
"""

import argparse
import asyncio
from pathlib import Path

from bench.chaos.provider.behaviour import KEY_SECONDS, Provider
from bench.chaos.provider.book import Book
from bench.chaos.provider.mail import Mail
from bench.chaos.provider.web import Web

HERE = "127.0.0.1"


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--patience", type=float, default=25.0)
    parser.add_argument("--key-seconds", type=float, default=KEY_SECONDS)
    parser.add_argument("--mode", default="")
    args = parser.parse_args()
    provider = Provider(Book(args.folder), args.seed, args.key_seconds, args.mode)
    web = await asyncio.start_server(Web(provider, args.patience).serve, HERE, 0, backlog=512)
    mail = await asyncio.start_server(Mail(provider, args.patience).serve, HERE, 0, backlog=512)
    ports = [server.sockets[0].getsockname()[1] for server in (web, mail)]
    print(*ports, flush=True)
    async with web, mail:
        await asyncio.gather(web.serve_forever(), mail.serve_forever())


if __name__ == "__main__":
    asyncio.run(main())
