"""How fast it is: `make bench` and `make bench-scale`, and what they found."""
