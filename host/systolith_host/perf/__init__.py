"""The performance model: what a layer's instructions cost on one accelerator and memory."""
