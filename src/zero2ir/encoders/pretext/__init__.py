"""Pretext tasks, one module each: training data made from documents alone."""
