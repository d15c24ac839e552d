"""The function that the platform's servers tell what users did."""

from lib.web.application import create
from lib.web.log import routes

app = create(routes)
