"""What finding similar users costs: one by one, by a copy with an index, and what that costs."""
