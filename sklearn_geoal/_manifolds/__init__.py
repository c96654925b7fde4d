"""Hyperbolic space of any curvature: two models as functions on tensors, polar coordinates on arrays."""
