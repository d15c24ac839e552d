"""The REST API over a broker."""
