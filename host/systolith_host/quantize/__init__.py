"""From a float graph to an integer one."""
