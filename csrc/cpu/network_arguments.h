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
  Rows<T> input;  // what the weights see; for input layers the driver writes the fed-back rows
  Rows<T> raw;    // where given, the layer reads this x, and the driver writes [f(x), x] into `input`
  Activation input_activation = Activation::identity;  // f
  Rows<T> out;
  Rows<const T> grad_out;  // backward: dL/d out from outside; null: zero
  Rows<const T> grad_trace[kMaxStates];
  T* grad_state[kMaxStates] = {};
  Rows<T> grad_current;
  Rows<T> grad_raw;  // backward: dL/dx at the given steps of an input layer; null: not wanted, or there is no `raw`
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

// What a layer reads, and its width.
template <class T>
const Rows<T>& read_of(const NetworkLayer<T>& layer) {
  return layer.raw ? layer.raw : layer.input;
}
template <class T>
int64_t read_width(const NetworkLayer<T>& layer) {
  return layer.raw ? layer.inputs / 2 : layer.inputs;
}

// Members of a team share the columns of each layer; that needs every layer to read exactly one other, as it is.
template <class T>
bool is_chain(const Network<T>& net) {
  for (int64_t l = 0; l < net.layers; ++l)
    if (net.layer[l].raw) return false;
  return net.fed_layers == 1 && net.output_layers == 1;
}

}  // namespace nt
