"""What is wrong with a deployment, seen from outside, and what to type."""
