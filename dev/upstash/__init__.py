"""A stand-in for Upstash's Redis REST API, over a real Valkey."""

from dev.upstash.hook import Drop, Refuse, Request, Stage
from dev.upstash.server import Upstash

__all__ = ["Drop", "Refuse", "Request", "Stage", "Upstash"]
