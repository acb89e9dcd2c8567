"""Pretext tasks, one module each: training data from unlabelled documents."""
