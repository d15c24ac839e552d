"""Who may look at the pages: whoever has a token, or a link that was signed with one."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from starlette.requests import Request

from lib.settings import Tokens
from lib.status.link import PAGES, opens
from lib.web.bearer import Bearer

LINK_FIELDS = ("expires", "signature")


@dataclass(frozen=True)
class Visitors:
    """Lets them in by API_TOKEN or ADMIN_TOKEN, or by a link signed with the latter."""

    bearer: Bearer
    signers: tuple[str, ...] = field(repr=False)

    @classmethod
    def of(cls, tokens: Tokens) -> Self:
        """Return who may look, by these tokens."""
        return cls(Bearer(tokens.api + tokens.admin), tokens.admin)

    def enter(self, request: Request) -> Mapping[str, str]:
        """Return what of the address opens the next page too, or raise Unauthorized."""
        link = {name: request.query_params.get(name, "") for name in LINK_FIELDS}
        if opens(PAGES, link["expires"], link["signature"], self.signers, time.time()):
            return link
        self.bearer.enter(request)
        return {}
