"""Winograd's lanes: their sums become exact sums, which are pooled and put in raster order."""
