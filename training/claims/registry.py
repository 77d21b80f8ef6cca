"""All claims, in order."""

from training.claims.cerebras_gpt import PARAMETER_COUNTS, SCALING_LAW, TOKENS_AND_STEPS, TRAINING_FLOPS
from training.claims.claim import Claim
from training.claims.coordinates import COORDINATES_OVER_DENSITY, COORDINATES_OVER_WIDTH
from training.claims.curve_collapse import CURVE_COLLAPSE
from training.claims.ema import EMA
from training.claims.frontier import FRONTIER
from training.claims.iso_wpn import ISO_WPN
from training.claims.lr_over_density import BOTH_CORRECTIONS, LR_OVER_DENSITY, RIGL_BREAKS_SMUPAR
from training.claims.sparse_published import SPARSE_SCALING_LAW, SPDF_FLOPS
from training.claims.straight_to_zero import D2Z_AGAINST_TENTH
from wse_sim.errors import choose

# A module of this package has its claims as constants; they are listed here by number.
CLAIMS: tuple[Claim, ...] = (
    PARAMETER_COUNTS,
    TOKENS_AND_STEPS,
    TRAINING_FLOPS,
    SCALING_LAW,
    COORDINATES_OVER_DENSITY,
    COORDINATES_OVER_WIDTH,
    LR_OVER_DENSITY,
    BOTH_CORRECTIONS,
    D2Z_AGAINST_TENTH,
    EMA,
    CURVE_COLLAPSE,
    SPARSE_SCALING_LAW,
    SPDF_FLOPS,
    ISO_WPN,
    RIGL_BREAKS_SMUPAR,
    FRONTIER,
)


def claim_named(name: str) -> Claim:
    """The claim of this name.

    Raises
    ------
    SpecError
        When there is none; the message names the nearest one.
    """
    by_name = {claim.name: claim for claim in CLAIMS}
    return by_name[choose(name, by_name, "claim")]
