"""What all tests share."""

from hypothesis import settings

# Machines are noisy, and a first call may compile: how long an example takes is no property of the code.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
