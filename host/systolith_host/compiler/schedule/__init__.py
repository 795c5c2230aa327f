"""In which pieces and which order a layer is computed."""
