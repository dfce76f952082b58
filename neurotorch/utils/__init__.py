"""Small helpers: seeds, conversions, containers, gradients."""

from __future__ import annotations

import enum

from neurotorch.utils.autograd import (
    clip_tensors_norm_,
    compute_jacobian,
    dy_dw_local,
    filter_parameters,
    get_contributing_params,
    recursive_detach,
    recursive_detach_,
    vmap,
    zero_grad_params,
)
from neurotorch.utils.collections import (
    list_insert_replace_at,
    list_of_callable_to_sequential,
    mapping_update_recursively,
    maybe_unpack_singleton_dict,
    ravel_compose_transforms,
    sequence_get,
    unpack_out_hh,
    unpack_singleton_dict,
    unpack_tuple,
    unpack_x_hh_y,
)
from neurotorch.utils.conversion import (
    to_numpy,
    to_tensor,
)
from neurotorch.utils.formatting import (
    format_pred_batch,
    maybe_apply_softmax,
)
from neurotorch.utils.parameters import (
    get_all_params_combinations,
    get_meta_name,
    get_meta_str,
    hash_meta_str,
    hash_params,
    save_params,
)
from neurotorch.utils.random import (
    format_pseudo_rn_seed,
    set_seed,
    unitary_rn_normal_matrix,
)
from neurotorch.utils.temporal import (
    batchwise_temporal_decay,
    batchwise_temporal_filter,
    batchwise_temporal_recursive_filter,
    linear_decay,
)
from neurotorch.utils.visualise import (
    legend_without_duplicate_labels_,
    plot_confusion_matrix,
)

__all__ = [
    "ConnectivityConvention",
    "batchwise_temporal_decay",
    "batchwise_temporal_filter",
    "batchwise_temporal_recursive_filter",
    "clip_tensors_norm_",
    "compute_jacobian",
    "dy_dw_local",
    "filter_parameters",
    "format_pred_batch",
    "format_pseudo_rn_seed",
    "get_all_params_combinations",
    "get_contributing_params",
    "get_meta_name",
    "get_meta_str",
    "hash_meta_str",
    "hash_params",
    "legend_without_duplicate_labels_",
    "linear_decay",
    "list_insert_replace_at",
    "list_of_callable_to_sequential",
    "mapping_update_recursively",
    "maybe_apply_softmax",
    "maybe_unpack_singleton_dict",
    "plot_confusion_matrix",
    "ravel_compose_transforms",
    "recursive_detach",
    "recursive_detach_",
    "save_params",
    "sequence_get",
    "set_seed",
    "to_numpy",
    "to_tensor",
    "unitary_rn_normal_matrix",
    "unpack_out_hh",
    "unpack_singleton_dict",
    "unpack_tuple",
    "unpack_x_hh_y",
    "vmap",
    "zero_grad_params",
]


class ConnectivityConvention(enum.Enum):
    """Meaning of the rows and columns of weights: ``W[i, j]`` goes from i to j (ItoJ) or from j to i (JtoI)."""

    ItoJ = 0
    JtoI = 1

    @classmethod
    def from_str(cls, convention: str) -> ConnectivityConvention:
        """From ``"itoj"``, ``"i_to_j"``, ``"i-to-j"``, ``"i->j"`` or the converse, in any case.

        Raises
        ------
        ValueError
            It is none of these.
        """
        letters = convention.lower().replace("->", "to").replace("_", "").replace("-", "")
        if letters not in ("itoj", "jtoi"):
            raise ValueError(f"convention: expected 'i->j' or 'j->i', got {convention!r}")
        return cls.ItoJ if letters == "itoj" else cls.JtoI

    @classmethod
    def from_other(cls, other: ConnectivityConvention | str | int) -> ConnectivityConvention:
        """From a member, its value or a string."""
        return cls.from_str(other) if isinstance(other, str) else cls(other)

    def __str__(self) -> str:
        return "i->j" if self is ConnectivityConvention.ItoJ else "j->i"
