"""What a look at the status costs with a million users."""
