"""Comparing searchers on the people who use them: who sees which, interleaved rankings, and tests for daily looks."""
