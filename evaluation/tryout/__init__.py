"""What the vectors would be worth, and cost, on a platform that has nothing of ours yet."""
