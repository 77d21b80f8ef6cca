"""A run on a wafer-scale cluster beside the same run on GPUs: memory, time, energy, money, and the loss they buy."""

from wse_sim.comparison.compare import compare, with_here
from wse_sim.comparison.gpu_side import GpuSide
from wse_sim.comparison.ways import here_way
from wse_sim.report.comparison import Comparison

__all__ = ["Comparison", "GpuSide", "compare", "here_way", "with_here"]
