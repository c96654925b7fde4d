"""MixMatch for rows and images with one class each, and for images with a class for each pixel."""
