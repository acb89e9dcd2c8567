"""Drift monitoring: compares windows and streams of searches with a reference."""
