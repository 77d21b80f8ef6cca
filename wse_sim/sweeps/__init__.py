"""Many configurations at once: what is swept, on how many processes, and the table that comes out."""
