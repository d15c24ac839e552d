"""What a function talks to over HTTP: the stand-ins for QStash and Upstash, in their own process.

`python -m bench.outside VALKEY_SOCKET`: says where they are; ends when its input does.
"""

import asyncio
import json
import sys
from pathlib import Path

from dev.qstash import Broker
from dev.serve import serve
from dev.stack import REDIS_TOKEN
from dev.upstash import Upstash


async def main(valkey: Path) -> None:
    """Serve both until the input ends; what is published is kept and never delivered."""
    broker, upstash = Broker(), Upstash(valkey, token=REDIS_TOKEN)
    async with serve(broker.app) as qstash, serve(upstash.app) as redis:
        sys.stdout.write(json.dumps({"qstash": qstash, "redis": redis}) + "\n")
        sys.stdout.flush()
        await asyncio.to_thread(sys.stdin.read)
        await upstash.close()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
