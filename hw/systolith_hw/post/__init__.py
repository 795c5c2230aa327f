"""Post-processing: bias, requantisation, clamp and pooling on the drain."""
