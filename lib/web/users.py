"""Everything under /api/users/: what is read of one user, and the user's erasure."""

from collections.abc import Sequence

from starlette.routing import Route

from lib.recommend.services import Readers
from lib.settings import Environ, Tokens
from lib.web import embedding, recommendations, similar


def routes(environ: Environ) -> Sequence[Route]:
    """Return the function's routes; raise SettingError."""
    return routes_of(Readers.load(environ), Tokens.load(environ))


def routes_of(readers: Readers, tokens: Tokens) -> Sequence[Route]:
    """Return the routes, for whoever has the tokens."""
    return [
        *embedding.routes(readers, tokens),
        *recommendations.routes(readers, tokens),
        *similar.routes(readers, tokens),
    ]
