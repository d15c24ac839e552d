"""Everything a demonstration's database holds, made up or recorded."""

from dev.world.invention import invent
from dev.world.record import Action, Post, World
from dev.world.recording import load

__all__ = ["Action", "Post", "World", "invent", "load"]
