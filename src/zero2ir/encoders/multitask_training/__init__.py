"""Multi-task training of one encoder: training data and loss of each task, and their schedule."""
