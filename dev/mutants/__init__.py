"""Faults made by hand in the code, one at a time, to see the test that must notice fail."""
