"""STORE: drain, post-processing (bias, requantise, clamp, max-pool), and writes to memory."""
