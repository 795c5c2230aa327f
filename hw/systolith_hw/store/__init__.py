"""STORE: drain, post-processing (bias, requantise, clamp, max-pool), and the way to memory."""
