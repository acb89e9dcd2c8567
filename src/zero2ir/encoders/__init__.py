"""Encoders, from text to rows that can be searched: one module a kind; how they are made and trained."""
