"""Generative classifiers whose encoder and decoder learn as two players."""
