"""Measures, intervals, significance, calibration, and the results folder of one evaluated system."""
