"""Numbers that all models of a family share."""

NORM_EPS = 1e-5  # Cerebras-GPT (arXiv 2304.03208), the model-zoo configurations; Llama 2's config.json has the same
ROTARY_BASE = 10_000.0  # RoFormer, arXiv 2104.09864, Section 3.2.2; LLaMA has the same
