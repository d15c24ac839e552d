"""The function that answers how the system is doing."""

from lib.web.application import create
from lib.web.status import routes

app = create(routes)
