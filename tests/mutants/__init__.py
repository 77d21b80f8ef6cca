"""Mutants of the formulas: small changes to the source that some test must notice.

    python -m tests.mutants                           all of them, on all CPUs; prints those that no test noticed
    python -m tests.mutants schedules --of ema.py     those of one file

rooms.toml says which files are mutated and which tests must notice; equivalent.toml which mutants mean the same as the
source, and why. The changes are Cosmic Ray's. Its runner is not used: it writes each mutant into the working tree and
starts a command for it, which imports torch and numba again each time. Here a process that has imported all libraries
forks for each mutant; the child alone sees the changed source, and nothing is written. mutmut, which forks too, leaves
out what stands outside of functions (tables of rules, defaults) and functions with a decorator (properties).
"""
