"""What the status page costs with a million users."""
