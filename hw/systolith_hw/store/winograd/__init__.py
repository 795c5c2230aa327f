"""The sums of Winograd's lanes: transformed to exact sums, pooled, and put in raster order."""
