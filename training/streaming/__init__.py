"""Training that keeps only the non-zeros, in the order in which a wafer-scale cluster works."""
