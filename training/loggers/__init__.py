"""Dashboards that follow a run: each gets the same names and numbers, all of which the run's own files have too."""

from training.loggers.logger import Logger
from training.loggers.loggers import LOGGERS, Loggers, make_loggers, parse_loggers
from training.loggers.names import mask_metrics, row_metrics

__all__ = ["LOGGERS", "Logger", "Loggers", "make_loggers", "mask_metrics", "parse_loggers", "row_metrics"]
