"""The demonstration: a whole run on this machine, and what came of it."""
