"""What the vectors are for: reading one, recommending posts, finding similar users."""
