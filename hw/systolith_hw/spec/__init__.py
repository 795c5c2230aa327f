"""The contract between gateware, models and host: plain Python, standard library only."""
