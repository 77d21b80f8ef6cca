"""Fields in which two runs of the same command differ, because a clock measures them: all others are the same bytes.

Names are those of `wse_sim.report.fields`. What `wse-sim bench` and `compare --here` print is measured throughout and
stands in neither list.
"""

# By a clock, each time anew.
CLOCK_FIELDS = (
    "engine.wall_s",
    "engine.events_per_s",
    "host_s",
    "bytes_per_s",
    "measured.host_s",
    "measured.tokens_per_s",
    "rows.measured_host_s",
    "layers.host_s",
    "layers.host_share",
    "claims.seconds",
)
# By a clock as well, but once for a machine, and kept (`wse-sim train --remeasure`); the reasons say what was expected.
MACHINE_FIELDS = (
    "choice.machine.matmul_flops_per_s",
    "choice.machine.measured_at",
    "choice.full_run_here_s",
    "choice.predicted_s",
    "choice.reasons",
)
