"""RECAL: clustering by a network that learns from the entropies of its own predictions."""
