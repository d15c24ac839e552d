"""Experiments: who gets which scheme, and what came of it; no I/O, no clock."""

from lib.experiment.assignment import Arm, Experiment

__all__ = ["Arm", "Experiment"]
