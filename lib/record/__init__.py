"""What the platform reports: actions, and what it has shown."""
