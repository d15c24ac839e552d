"""GET /api/status/users/{id}: one user as a page, and /api/status/users?id=, which leads there."""

from collections.abc import Sequence
from datetime import UTC, datetime

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from lib.errors import Missing
from lib.recommend.services import Readers
from lib.status.link import PAGES, ending
from lib.web.answer import answered
from lib.web.fields import as_id, id_in_path, only
from lib.web.visitor import LINK_FIELDS, Visitors

USERS = f"{PAGES}/users"
USER = f"{USERS}/{{id}}"


def routes(readers: Readers, visitors: Visitors) -> Sequence[Route]:
    """Return the routes, for whoever may look."""

    async def find(request: Request) -> Response:
        link = visitors.enter(request)
        only(request, {"id", *LINK_FIELDS})
        user = as_id("id", request.query_params.get("id"))
        return RedirectResponse(f"{USERS}/{user}{ending(link)}", 303, {"Cache-Control": "no-store"})

    async def show(request: Request) -> Response:
        link = visitors.enter(request)
        user = id_in_path(request, "id")
        only(request, LINK_FIELDS)
        from lib.page.user_page import missing_page, user_page  # noqa: PLC0415  # few ask
        from lib.portrait.portray import portray  # noqa: PLC0415  # all of the batch comes with it

        try:
            page, code = user_page(await portray(readers, user), datetime.now(UTC), link), 200
        except Missing as missing:
            page, code = missing_page(user, str(missing), link), 404
        return Response(page.text, code, page.headers)

    return [
        Route(USERS, answered(find), methods=["GET"]),
        Route(USER, answered(show), methods=["GET"]),
    ]
