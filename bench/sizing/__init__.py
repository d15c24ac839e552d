"""How big it gets: what a run takes and costs, by how many users were active."""
