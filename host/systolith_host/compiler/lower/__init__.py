"""What the array does for each layer."""
