"""Claim 10: AdamW's last weights are an average of its updates, with coefficients that the schedule alone sets.

A linear map of 8 x 16 weights in float64: the identity holds at any size. The averages beside it are those of a run of
full size, 610M parameters for 11,752 steps, computed from its schedule; nothing that large trains here.
"""

import torch

from training.schedules import ema_coefficients, lr_factors, weight_left_on_init
from training.schedules.setting import plain_setting
from training.schedules.view import schedule_views

SCHEDULES = ("constant", "linear_10x", "linear", "wsd")
PEAK_LR, WEIGHT_DECAY, N_STEPS, N_WARMUP_STEPS = 0.02, 0.5, 500, 50
BETA1, BETA2, EPS = 0.9, 0.95, 1e-8
torch.set_num_threads(1)  # on matrices this small, threads only wait for one another


def rebuilding_error(schedule: str) -> float:
    """Relative error of a run's last weights, rebuilt from its first ones and the optimizer's updates."""
    torch.manual_seed(0)
    teacher, first = torch.randn(2, 8, 16, dtype=torch.float64)
    weight = first.clone().requires_grad_()
    optimizer = torch.optim.AdamW([weight], betas=(BETA1, BETA2), eps=EPS, weight_decay=WEIGHT_DECAY)
    factors, averaged = lr_factors(schedule, N_STEPS, N_WARMUP_STEPS), []
    for step, factor in enumerate(factors, start=1):
        optimizer.param_groups[0]["lr"] = PEAK_LR * factor
        inputs, noise = torch.randn(32, 16, dtype=torch.float64), torch.randn(32, 8, dtype=torch.float64)
        optimizer.zero_grad()
        (inputs @ (weight - teacher).T + noise).square().mean().backward()
        optimizer.step()
        state = optimizer.state[weight]
        mean, square = state["exp_avg"] / (1 - BETA1**step), state["exp_avg_sq"] / (1 - BETA2**step)
        averaged.append(-mean / (square.sqrt() + EPS) / WEIGHT_DECAY)
    alpha = PEAK_LR * WEIGHT_DECAY * factors
    rebuilt = weight_left_on_init(alpha) * first
    rebuilt += torch.tensordot(torch.from_numpy(ema_coefficients(alpha)), torch.stack(averaged), dims=1)
    last = weight.detach()
    return float((rebuilt - last).norm() / last.norm())


print("             error of the    of the 610M run's last weights, by the schedule alone:")
print("schedule    rebuilt weights  left of the start  steps averaged  in the last tenth")
for view in schedule_views(SCHEDULES, plain_setting()):
    found = view.summary
    print(f"{view.schedule:11} {rebuilding_error(view.schedule):15.1e} {found.weight_left_on_init:18.1%}", end=" ")
    print(f"{found.effective_share:15.1%} {found.share_of_last_tenth:18.1%}")
print("Errors are measured, relative to the weights; the shares are computed.")
print("Full test: wse-sim reproduce ema")
