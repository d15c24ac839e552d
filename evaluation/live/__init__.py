"""A sample of a live platform's tables, read without changing anything."""

from evaluation.live.sample import DAYS, Limits, Sample, read_sample
from evaluation.live.session import Session, Trouble, session

__all__ = ["DAYS", "Limits", "Sample", "Session", "Trouble", "read_sample", "session"]
