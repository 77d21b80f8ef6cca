"""Where the two halves meet: a real training run here beside the simulated run of the full-size model."""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec

from training.atomic import write_atomically
from training.config import TrainConfig
from training.job import Job, target_hyperparameters, write_job
from training.machine import MachineProfile
from training.proxy import choose_run
from training.run_record import LinearClock, Row, RunRecord
from training.trainer import train
from wse_sim import __version__
from wse_sim.gpu.roofline import GpuResult, simulate_gpu
from wse_sim.report.html import render_comparison_report, render_run_report
from wse_sim.report.scaling import LossProjection, project_loss
from wse_sim.report.trace import write_trace
from wse_sim.simulate import Simulation, simulate
from wse_sim.workload.flops import training_flops_per_token
from wse_sim.workload.transformer import n_parameters
