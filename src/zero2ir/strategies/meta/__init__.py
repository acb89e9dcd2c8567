"""Meta-learning: an initialization, learned from tasks."""
