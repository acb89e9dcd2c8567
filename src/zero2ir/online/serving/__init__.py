"""Serves a program over HTTP."""
