"""From files and names to networks."""
