"""The network: one readable GPT, its parameterizations, its masks of zeros."""
