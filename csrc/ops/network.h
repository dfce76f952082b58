// The operators of a whole network in closed loop: network_forward and network_backward.
#pragma once

#include "tensors.h"

namespace nt {

// A network as tensors and numbers. `program` holds per layer: model, surrogate, activation, traces (bit mask), index
// of its weight, index of its recurrent weight (-1: none); tied matrices appear once in `weights`. The first `fed`
// layers read `inputs` (and the fed-back outputs, see network_arguments.h), the last `outputs` are output layers.
struct NetworkDescription {
  const TensorList& inputs;   // per fed layer [B, T, F]
  const TensorList& weights;  // [F, N] each
  const TensorList& state;    // all layers' states in order, [B, N] each
  const TensorList& constants;
  const OptionalTensorList& teacher;  // per fed layer [B, S, F] or none
  double teacher_weight;
  const std::vector<int64_t>& program;
  const std::vector<int64_t>& feedback;  // per fed layer
  int64_t fed, outputs, steps;
};

// Returns the rows of every stage (the concatenated fed layers, then each hidden and output layer) [B, S, N], the
// final states of all layers, the traces asked for, and what the fed layers read [B, S, F].
std::tuple<TensorList, TensorList, TensorList, TensorList> network_forward(const NetworkDescription& net);

// Gradients in the order inputs, weights, states, constants; empty tensors where `wanted` is 0. `grad_traces` and
// `traces` have one entry per state.
TensorList network_backward(const NetworkDescription& net, const OptionalTensorList& grad_out,
                            const OptionalTensorList& grad_state, const OptionalTensorList& grad_traces,
                            const TensorList& stages, const OptionalTensorList& traces, const TensorList& read,
                            const std::vector<int64_t>& wanted);

}  // namespace nt
