"""Who may look at the pages: whoever has a token, or a link that was signed with one."""

import time
from collections.abc import Mapping
from dataclasses import dataclass

from starlette.requests import Request

from lib.settings import Tokens
from lib.status.link import PAGES, opens
from lib.web.bearer import Bearer

LINK_FIELDS = ("expires", "signature")


@dataclass(frozen=True)
class Visitors:
    """Lets them in by API_TOKEN or ADMIN_TOKEN, or by a link signed with the latter."""

    tokens: Tokens

    def enter(self, request: Request) -> Mapping[str, str]:
        """Return what of the address opens the next page too, or raise Unauthorized."""
        link = {name: request.query_params.get(name, "") for name in LINK_FIELDS}
        if opens(PAGES, link["expires"], link["signature"], self.tokens.admin, time.time()):
            return link
        Bearer(self.tokens.api + self.tokens.admin).enter(request)
        return {}
