"""Hyperbolic space in two models: functions on tensors, for any curvature."""
