"""Desks that only listen, for `bench.desk_painted`: `python -m bench.desk_listeners URL TOKENS`.

It says `listening` when every one of them has begun, and when its input ends the seconds of every card that came, as JSON: from
the nanosecond that the call's id bears.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import httpx
import msgspec

from bench.desk import Pages


async def main(url: str, tokens: dict[str, str]) -> None:
    """Listen until the input ends."""
    pages = Pages()
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=None, limits=limits) as client:
        listening = [asyncio.create_task(pages.listen(client, name, token)) for name, token in tokens.items()]
        await pages.all_listen(len(tokens))
        sys.stdout.write("listening\n")
        sys.stdout.flush()
        await asyncio.to_thread(sys.stdin.read)
        for task in listening:
            task.cancel()
        await asyncio.gather(*listening, return_exceptions=True)
    sys.stdout.buffer.write(msgspec.json.encode(pages.seconds) + b"\n")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], msgspec.json.decode(Path(sys.argv[2]).read_bytes(), type=dict[str, str])))
