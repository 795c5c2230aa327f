"""What the rooms of the gateware promise each other: layouts and signatures."""
