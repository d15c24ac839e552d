"""Postgres: every SQL statement of this system, by noun, each beside the function that runs it."""
