"""Claim 13: sparse pre-training of GPT-3 XL at density 1/4 needs 2.5 times fewer FLOPs, and of a 6.7B model 64 % fewer.

At full scale, counted from shapes; nothing trains. FLOPs are not time: what a wafer makes of them shows
02_when_sparsity_pays.py.
"""

from wse_sim.spec.load import load_model
from wse_sim.workload.flops import attention_flops, embedding_flops, flop_reduction, linear_flops, logits_flops

SEQ_LEN = 2048
STEPS = {0.1: 62_523, 1.0: 9_379}  # density -> steps of the 6.7B model, as published

gpt3_xl = load_model("1.3b").shape  # of the same shape
print("GPT-3 XL, sparse throughout; masked weights cost nothing, attention and output layer stay:")
for density in (0.5, 0.25, 0.125):
    reduction = flop_reduction(gpt3_xl, seq_len=SEQ_LEN, density=density)
    print(f"  density {density:5g}: {reduction:.2f} times fewer FLOPs")
print("  claimed of density 0.25: 2.5 times")

shape = load_model("6.7b").shape
rest = attention_flops(shape, SEQ_LEN) + logits_flops(shape) + embedding_flops(shape)
per_token = {density: linear_flops(shape, density) + rest for density in STEPS}
print("6.7B, sparse first and dense at the end (Variable SPDF):")
for density, steps in STEPS.items():
    print(f"  density {density:5g}: {per_token[density]:.2e} FLOPs per token for {steps:,} steps")
spent = sum(per_token[density] * steps for density, steps in STEPS.items())
saved = 1 - spent / (per_token[1.0] * STEPS[0.1])
print(f"  {saved:.1%} fewer FLOPs than all of its sparse steps dense, claimed 64%")
print("All of it is counted: nothing is measured, simulated or projected.")
print("Full test: wse-sim reproduce spdf-flops")
