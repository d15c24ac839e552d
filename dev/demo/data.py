"""What a demonstration is about: a world, and the settings that suit it."""

from datetime import datetime
from pathlib import Path

from dev.demo.failure import Failure
from dev.world import World, invent, load

PAGES = 20
RECORDED_LOOKBACK_DAYS = 365


def choose(folder: Path | None, now: datetime) -> World:
    """Return the invented world, or the one recorded in `folder`; Failure if it is not one."""
    if folder is None:
        return invent(now)
    try:
        return load(folder, now)
    except (OSError, ValueError, LookupError) as error:
        raise Failure(f"expected a recorded data set in {folder}: {error}") from error


def settings_for(world: World) -> dict[str, str]:
    """Return settings under which a run over `world` has some 20 pages."""
    settings = {"PAGE_SIZE": str(-(-len(world.users) // PAGES))}
    if not world.tastes:
        settings["LOOKBACK_DAYS"] = str(RECORDED_LOOKBACK_DAYS)
    return settings
