"""The contracts between the rooms of the gateware: layouts and signatures."""
