"""Claim 1: Cerebras-GPT's parameters, by the formula, in the instantiated module, and as published.

At full scale, 111 million to 13 billion. Nothing trains: PyTorch's meta device builds a module without its memory.
"""

from models.gpt import meta_model
from wse_sim.spec.load import data_path, load_model, read_toml
from wse_sim.workload.transformer import n_parameters

NAMES = ("111m", "256m", "590m", "1.3b", "2.7b", "6.7b", "13b")

n_equal = 0
print(f"{'parameters of':14} {'by formula':>15} {'in the module':>15} {'published':>15}")
for name in NAMES:
    shape = load_model(name).shape
    by_formula = n_parameters(shape)
    in_module = sum(parameter.numel() for parameter in meta_model(shape).parameters())
    published = read_toml(data_path("models", f"{name}.toml"))["published"]["n_parameters"]
    n_equal += by_formula == in_module == published
    print(f"{name:14} {by_formula:15,} {in_module:15,} {published:15,}")

print(f"{n_equal} of {len(NAMES)} are equal to the last digit.")
print("The first two columns are counted, the third is the paper's: nothing is measured, simulated or projected.")
print("Full test: wse-sim reproduce parameter-counts")
