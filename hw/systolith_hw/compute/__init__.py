"""CONV: the weight-stationary systolic array, its feeders, and its accumulators."""
