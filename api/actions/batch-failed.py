"""The function that QStash calls when it has given a message up."""

from lib.web.application import create
from lib.web.batch_failed import routes

app = create(routes)
