"""From an integer graph to tiles, addresses and instructions."""
