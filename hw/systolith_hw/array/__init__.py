"""The weight-stationary systolic array and what feeds it."""
