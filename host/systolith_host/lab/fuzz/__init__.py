"""Random networks, layers, configurations and inputs."""
