"""The function that answers what the platform asks of one user."""

from lib.web.application import create
from lib.web.users import routes

app = create(routes)
