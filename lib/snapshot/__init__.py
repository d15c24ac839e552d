"""Snapshots: all vectors, a part at a time, into a bucket of S3 after a run, and back again."""
