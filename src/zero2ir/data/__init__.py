"""Reads, checks and stores collections, and draws the few judgments that training may see."""
