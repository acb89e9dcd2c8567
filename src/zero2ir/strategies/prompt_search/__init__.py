"""Prompts as hyperparameters, for writing queries and in models: candidates, who proposes them, how one is chosen."""
