"""What there is to know of how the system is doing, from figures that runs leave behind."""
