"""Engines of the stock image, one module each; found by `registry`."""
