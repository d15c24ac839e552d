"""A function: an ASGI application made from the environment."""

import logging
import os
import sys
from collections.abc import Callable, Sequence

from starlette.applications import Starlette
from starlette.routing import Route

from lib.errors import SettingError
from lib.settings import Environ

type Routes = Callable[[Environ], Sequence[Route]]


def create(routes: Routes) -> Starlette:
    """Make a function's application; a wrong setting ends the process with one line."""
    logging.getLogger("user_embeddings").setLevel(logging.INFO)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    try:
        application = Starlette(routes=routes(os.environ))
    except SettingError as error:
        sys.exit(f"user-embeddings: {error}")
    # a redirect to the right path would tell strangers that there is one
    application.router.redirect_slashes = False
    return application
