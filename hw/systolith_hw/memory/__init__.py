"""On-chip memories whose addresses travel with the array's skew."""
