"""Work shared out among processes, here or over Ray."""
