"""The functions that Python users call."""
