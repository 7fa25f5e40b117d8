"""Networks of torchvision by their names, with weights that the user has."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import torch
from torch import nn

from deepsvdd.core.networks import NETWORKS
from deepsvdd.errors import reason_of

AUTO, RANDOM = "auto", "random"  # weights that have no file


@lru_cache(maxsize=1)
def backbone_names() -> tuple[str, ...]:
    """Name torchvision's networks for images."""
    from torchvision import models

    return tuple(models.list_models(module=models))


class Names:
    """The package's networks and torchvision's, which is imported when asked for."""

    def __get__(self, instance: object, owner: object) -> tuple[str, ...]:
        """Return the names."""
        return (*NETWORKS, *backbone_names())


def backbone(name: str, weights: str) -> nn.Module:
    """Build a network of torchvision's.

    Parameters
    ----------
    name : str
        One of :func:`backbone_names`.
    weights : str
        "random"; "auto", torchvision's own, which it downloads once; or a file with the
        network's ``state_dict``, as torchvision's are.

    Raises
    ------
    ValueError
        If the weights cannot be had, or do not fit.
    """
    from torchvision import models

    if weights == RANDOM:
        return models.get_model(name, weights=None)
    if weights == AUTO:
        try:
            return models.get_model(name, weights="DEFAULT")
        except Exception as error:  # of the network, the disk, or the hash
            raise ValueError(
                f"weights must be a file, or {RANDOM!r}, where torchvision cannot "
                f"download those of {name!r} ({reason_of(error)}); got {AUTO!r}"
            ) from None
    network = models.get_model(name, weights=None)
    try:
        state = torch.load(weights, map_location="cpu", weights_only=True)
        network.load_state_dict(state)
    except Exception as error:  # no file, no weights, or another network's
        raise ValueError(
            f"weights must be {AUTO!r}, {RANDOM!r} or a file with the state_dict of "
            f"{name!r}; got {str(Path(weights))!r}: {reason_of(error)}"
        ) from None
    return network
