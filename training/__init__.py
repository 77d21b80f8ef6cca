"""The trainer: data, schedules, optimizer, checkpoints, the run record, and its meeting with the simulator."""
