"""The mail: runs begin, and messages are delivered in whatever order, again, and at once."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from dev.qstash import Broker, Message
from tests.faults.checks import Checks
from tests.faults.platform import Platform
from tests.faults.traps import Hold, Traps

TWO_HOURS = 7200.0
MEMBERS = "SELECT user_id FROM embedding.run_users WHERE run_id = $1 AND page = $2 ORDER BY user_id"


@dataclass
class Mail:
    """Delivers what the broker keeps, when the machine says so; all by places in due order."""

    broker: Broker
    platform: Platform
    traps: Traps
    checks: Checks

    async def tick(self, most: int) -> None:
        """Let two hours pass, the schedule fire, and so many messages be delivered in order."""
        if await self.platform.pass_time(TWO_HOURS):
            self.checks.pass_time(TWO_HOURS)
            self.broker.clock.jump(TWO_HOURS)
        await self.trigger(most)

    async def trigger(self, most: int) -> None:
        """Fire the schedule at once, and deliver so many messages in order."""
        await self.broker.tick("user-embeddings")
        for _ in range(most):
            await self.deliver(0)

    async def deliver(self, place: int) -> None:
        """Deliver one of the pending messages, in whatever order."""
        if pending := self.broker.pending():
            await self.broker.deliver(pending[place % len(pending)].message_id)

    async def deliver_at_once(self, places: Sequence[int]) -> None:
        """Deliver several of the pending messages side by side."""
        pending = self.broker.pending()
        chosen = dict.fromkeys(
            pending[place % len(pending)].message_id for place in places if pending
        )
        await asyncio.gather(*map(self.broker.deliver, chosen))

    async def deliver_again(self, place: int) -> None:
        """Deliver any message that ever was, early, late or once more."""
        if messages := self.broker.messages[self.checks.first :]:
            await self.broker.deliver(messages[place % len(messages)].message_id)

    async def overtake(
        self, place: str, member: int, meanwhile: str, posts: Sequence[UUID]
    ) -> None:
        """Hold up a page's delivery, and deliver it again, to its end, after something happened.

        To one of its users: they act on posts, are erased, or are deleted.
        """
        page = await self._page()
        if page is None:
            return
        users = await self._members(page)
        user = users[member % len(users)]
        hold = self.traps.hold = Hold(place)
        first = asyncio.create_task(self.broker.deliver(page.message_id))
        reached = asyncio.create_task(hold.reached.wait())
        try:
            await asyncio.wait({first, reached}, return_when=asyncio.FIRST_COMPLETED)
            if meanwhile == "act":
                for post in posts:
                    await self.platform.act(user, post)
            elif meanwhile == "erase":
                await self.platform.erase(user)
            else:
                await self.platform.delete(user)
            await self.broker.deliver(page.message_id)
            await self.checks.hold_order()
        finally:
            self.traps.hold = None
            hold.over.set()
            reached.cancel()
            await first

    async def _page(self) -> Message | None:
        """Return a pending page that has users left; let runs begin until there is one."""
        for _ in range(4):
            for message in self.broker.pending():
                if await self._members(message):
                    return message
            await (self.deliver(0) if self.broker.pending() else self.tick(1))
        return None

    async def _members(self, message: Message) -> list[UUID]:
        body = json.loads(message.body or b"{}")
        if "page" not in body:
            return []
        found = await self.platform.connection.fetch(MEMBERS, body["run"], body["page"])
        return [row["user_id"] for row in found]
