"""Experiments: runs the pipeline under many conditions, writes tables, and checks published figures."""
