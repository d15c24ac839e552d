"""What the platform reports: actions, and what it has shown.

For a platform in Python, beside the routes:

    database = Database(DatabaseSettings(url, pooled=True))
    await log_actions(database, [Action(user, post, "like_post")])
"""

from lib.record.actions import Logged, Rejection, log_actions
from lib.record.impressions import record_impressions
from lib.store.events import Action

__all__ = ["Action", "Logged", "Rejection", "log_actions", "record_impressions"]
