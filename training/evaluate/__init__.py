"""Scores as defined in docs/evaluation.md, each printed beside its blind score."""
