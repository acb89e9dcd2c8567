"""Feedback from the people who search."""
