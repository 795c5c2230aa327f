"""CONV: the weight-stationary systolic array, what feeds it, and its accumulators."""
