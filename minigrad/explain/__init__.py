"""Backprop made visible."""

from minigrad.explain.diagnosis import Diagnosis, diagnose

__all__ = ["Diagnosis", "diagnose"]
