"""Variational autoencoders as transformers, with a flat and with a hyperbolic latent space."""
