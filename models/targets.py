"""Targets of a loss."""

NOT_COUNTED = -1  # a target that is in no mean
