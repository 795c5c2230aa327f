"""The self-test: the first thing to run on new hardware."""
