// The operators of one layer: <model>_forward and <model>_backward, the same argument layout for every model.
#pragma once

#include "tensors.h"

namespace nt {

// x [B, T, F]; weight [F, N] or none (then x is the current and F = N); recurrent_weight [N, N] or none; state: one
// [B, N] per state of the model; constants: [] or [N] each. `traces` is a bit mask of the states whose trace
// [B, T, N] is returned (never the output state of a layer without activation: that is `out`). With
// recompute_every = K > 0 the states before steps K, 2K, ... are returned as `checkpoints`, one [segments - 1, B, N]
// per state, from which the backward pass computes the traces again.
std::tuple<Tensor, TensorList, TensorList, TensorList> layer_forward(
    int64_t model, const Tensor& x, const OptionalTensor& weight, const OptionalTensor& recurrent_weight,
    const TensorList& state, const TensorList& constants, int64_t surrogate, int64_t activation, int64_t traces,
    int64_t recompute_every);

// Gradients of everything in `wanted` (bits: x, weight, recurrent_weight, each state, each constant); an empty tensor
// stands for each of the others. `traces` has one entry per state.
TensorList layer_backward(int64_t model, const OptionalTensor& grad_out, const OptionalTensorList& grad_state,
                          const OptionalTensorList& grad_traces, const Tensor& x, const OptionalTensor& weight,
                          const OptionalTensor& recurrent_weight, const TensorList& state, const TensorList& constants,
                          const OptionalTensor& out, const OptionalTensorList& traces, const TensorList& checkpoints,
                          int64_t surrogate, int64_t activation, int64_t recompute_every, int64_t wanted);

// Sums [B, constants, N] over the samples, and over the neurons for constants that are scalars.
Tensor reduce_constant(const Tensor& grad, int64_t constant, const Tensor& like);

// Sum over samples and steps of presynaptic[b, t - 1]^T grad_current[b, t]: dL/dR.
Tensor recurrent_gradient(const ModelInfo& info, int64_t model, int64_t surrogate, const Tensor& constants,
                          const TensorList& initial, const OptionalTensorList& traces, const Tensor& grad_current);

}  // namespace nt
