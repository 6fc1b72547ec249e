"""The GPU's own kernels, in Triton, and the networks that are made of them."""
