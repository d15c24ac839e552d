"""The function that the platform's servers tell what users were shown."""

from lib.web.application import create
from lib.web.impressions import routes

app = create(routes)
