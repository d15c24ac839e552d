"""A portrait as a page."""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from lib.page.document import Document, render
from lib.page.drawing import SIDE, draw
from lib.portrait.portrait import Portrait
from lib.store.headings import Heading

GONE = Heading("a post that is gone", None)


def user_page(portrait: Portrait, now: datetime, query: Mapping[str, str]) -> Document:
    """Return the page; `query`: what of the address opened it, for the links on it."""

    def heading(post: UUID) -> Heading:
        return portrait.headings.get(post, GONE)

    return render(
        "user.html",
        portrait=portrait,
        heading=heading,
        drawing=draw(portrait.map, heading),
        side=SIDE,
        now=now,
        query=query,
    )


def missing_page(user: UUID, reason: str, query: Mapping[str, str]) -> Document:
    """Return the page of a user who has no vector."""
    return render("missing.html", user=user, reason=reason, query=query)
