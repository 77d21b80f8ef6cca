"""wse-sim: a simulator of the Cerebras Wafer-Scale Cluster, coupled to a real PyTorch trainer."""

__version__ = "0.1.0"
