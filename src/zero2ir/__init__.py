"""Retrieval systems from scratch, with as few as ten relevance judgments."""
