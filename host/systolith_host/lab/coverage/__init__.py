"""Coverage of the gateware: measuring, what is left out, directed tests, and bins of programs."""
