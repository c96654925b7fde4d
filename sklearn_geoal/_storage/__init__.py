"""Estimators as plain values and arrays, and the way back, on which nothing that a file says is run."""
