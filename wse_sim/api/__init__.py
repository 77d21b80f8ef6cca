"""What Python users call: a function for each question, with the parameters of the command of the same name."""
