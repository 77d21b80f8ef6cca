"""Claim 2: every Cerebras-GPT model saw 20 tokens per parameter and warmed up for 375 million tokens.

At full scale, counted from the published recipes; nothing trains. The 13B run changed its batch on the way: its steps
are counted here in the larger one.
"""

from wse_sim.spec.load import data_path, load_model, read_toml
from wse_sim.workload.transformer import n_parameters

NAMES = ("111m", "256m", "590m", "1.3b", "2.7b", "6.7b", "13b")
WARMUP_TOKENS = 375_000_000

n_equal = 0
print("model  steps x sequences    tokens  published  tokens/parameter  375M tokens, steps  warm-up, steps")
for name in NAMES:
    preset = load_model(name)
    shape, recipe = preset.shape, preset.recipe
    tokens_per_step = recipe.batch_size * shape.seq_len
    tokens = recipe.n_steps * tokens_per_step
    tpp = tokens / n_parameters(shape)
    warmup_steps = WARMUP_TOKENS // tokens_per_step
    published = read_toml(data_path("models", f"{name}.toml"))["published"]["n_tokens"]
    is_equal = f"{tokens:.2e}" == f"{published:.2e}" and f"{tpp:.2f}" == "20.00" and warmup_steps == recipe.warmup_steps
    n_equal += is_equal
    length = f"{recipe.n_steps:,} x {recipe.batch_size:,}"
    print(f"{name:5} {length:>18} {tokens:9.2e} {published:10.2e} {tpp:17.2f}", end=" ")
    print(f"{warmup_steps:19} {recipe.warmup_steps:15}")

print(f"{n_equal} of {len(NAMES)} runs have the published tokens, 20.00 per parameter, and this warm-up.")
print("All of it is counted: nothing is measured, simulated or projected.")
print("Full test: wse-sim reproduce tokens-and-steps")
