"""What a parameter is for: the role that its rule of initialization, learning rate and decay hangs on."""

from typing import TYPE_CHECKING, Literal, TypeVar, get_args

from wse_sim.errors import SpecError

if TYPE_CHECKING:
    from torch import nn

# norm_out and bias_out lie behind the last block, outside of every residual branch: depth does not scale them.
Role = Literal["embedding", "position", "hidden_in", "hidden_out", "norm", "bias", "norm_out", "bias_out", "output"]
ROLES: tuple[Role, ...] = get_args(Role)
HIDDEN_ROLES: frozenset[Role] = frozenset({"hidden_in", "hidden_out"})
_ATTRIBUTE = "parameter_roles"

AnyModule = TypeVar("AnyModule", bound="nn.Module")


def with_roles(module: AnyModule, **role_of: Role) -> AnyModule:
    """The module itself, with a role declared for its own parameters.

    Parameters
    ----------
    role_of :
        Parameter name within the module -> role, as in `with_roles(nn.Linear(4, 4), weight="hidden_in", bias="bias")`.
        Roles are declared where the module is built and never guessed from a name: a layer that was forgotten
        must stop the run, not be scaled like its neighbour.
    """
    setattr(module, _ATTRIBUTE, dict(role_of))
    return module


def parameter_roles(model: "nn.Module") -> dict[str, Role]:
    """The role of every parameter, by full name, in the model's order.

    Raises
    ------
    SpecError
        When a parameter has no role, or one that no table knows.
    """
    found: dict[str, Role] = {}
    for prefix, module in model.named_modules():
        declared = getattr(module, _ATTRIBUTE, {})
        for own_name, _ in module.named_parameters(recurse=False):
            name = f"{prefix}.{own_name}" if prefix else own_name
            role = declared.get(own_name)
            if role not in ROLES:
                raise SpecError(
                    f"parameter {name!r} has {'no role' if role is None else f'the unknown role {role!r}'}: "
                    f"declare one of {', '.join(ROLES)} with models.roles.with_roles where the module is built"
                )
            found[name] = role
    return found
