"""The function that QStash calls for every tick and every page."""

from lib.web.application import create
from lib.web.batch_process import routes

app = create(routes)
