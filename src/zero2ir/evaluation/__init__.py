"""Computes measures, intervals, significance and calibration, and stores the results of an evaluated system."""
