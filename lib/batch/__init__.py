"""The batch: a tick plans who is due, pages turn what they did into vectors."""

from lib.batch.page import Progress, work_page
from lib.batch.plan import Plan, find_users_for_embedding_update, start_run
from lib.batch.popularity import count_popularity
from lib.batch.services import Services
from lib.batch.users import generate_user_interest_embedding, process_batch_user_embeddings

__all__ = [
    "Plan",
    "Progress",
    "Services",
    "count_popularity",
    "find_users_for_embedding_update",
    "generate_user_interest_embedding",
    "process_batch_user_embeddings",
    "start_run",
    "work_page",
]
