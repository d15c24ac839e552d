"""Recommendations among 100,000 posts: how many of the nearest are found, and how fast."""
