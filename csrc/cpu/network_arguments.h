// One closed-loop run of a whole network, forward and backward. Torch-free.
#pragma once

#include "../arguments.h"

namespace nt {

// A layer of the network. Rows of `input`, `out` and of the traces have one entry per step of the whole run.
template <class T>
struct NetworkLayer {
  int64_t model = 0, surrogate = 0;
  Activation activation = Activation::identity;
  int64_t inputs = 0, neurons = 0;
  const T* weight = nullptr;  // W [inputs, weight_stride], padded with zeros
  int64_t weight_stride = 0;
  const T* recurrent = nullptr;  // R [neurons, recurrent_stride] or null
  int64_t recurrent_stride = 0;
  const T* weight_transposed = nullptr;  // backward: W^T [neurons, transposed_stride]
  int64_t transposed_stride = 0;
  const T* recurrent_transposed = nullptr;  // backward: R^T [neurons, recurrent_stride]
  const T* constants = nullptr;             // [constants, neurons]
  const T* initial[kMaxStates] = {};
  T* final_state[kMaxStates] = {};
  Rows<T> trace[kMaxStates];
  Rows<T> input;  // what the layer reads; for input layers the driver writes the fed-back rows
  Rows<T> out;
  Rows<const T> grad_out;  // backward: dL/d out from outside; null: zero
  Rows<const T> grad_trace[kMaxStates];
  T* grad_state[kMaxStates] = {};
  Rows<T> grad_current;
  T* grad_constants = nullptr;  // [B, constants, neurons] or null
};

// The first `fed_layers` layers read the given inputs and, at steps from `given` on, the output of output layer
// feedback[k] at the step before (mixed with a teacher signal where there is one; -1: zeros). Hidden layers are a
// chain behind the concatenated first layers, every output layer reads the last of them. A single layer is both.
template <class T>
struct Network {
  int64_t batch = 0, steps = 0, given = 0;
  int64_t layers = 0, fed_layers = 0, output_layers = 0;
  const NetworkLayer<T>* layer = nullptr;
  const int64_t* feedback = nullptr;
  const Rows<const T>* teacher = nullptr;  // per fed layer; rows of all steps; null data: none
  T teacher_weight = T(0);                 // input = (1 - w) feedback + w teacher
};

// Members of a team share the columns of each layer; that needs every layer to read exactly one other.
template <class T>
bool is_chain(const Network<T>& net) {
  return net.fed_layers == 1 && net.output_layers == 1;
}

}  // namespace nt
