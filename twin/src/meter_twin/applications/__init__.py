"""Applications of the stock image, one module each; pure, found by `registry`."""
