"""The contract of gateware, models and host: plain Python, standard library only."""
