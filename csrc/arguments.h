// What a driver gets: plain structs of pointers and sizes, the same for the CPU kernels of every instruction set and
// for CUDA. Torch-free.
#pragma once

#include <cstdint>

namespace nt {

constexpr int kMaxStates = 5;
constexpr int kMaxConstants = 12;

enum class Activation : int64_t { identity, relu, tanh, sigmoid };

// What the drivers need to know about a model (see csrc/models/*.h for the meaning of each number).
struct ModelInfo {
  const char* name;
  int states, constants, output, presynaptic;
  unsigned saved, saved_for_constants, learnable;
  bool spiking;
  bool activates_inside;      // `surrogate` is then the number of the activation inside the model
  bool computes_presynaptic;  // the recurrent weights see a function of the presynaptic state
};

// A matrix of rows [B, T, n]: row (b, t) starts at data + b * batch + t * time, its n entries are adjacent.
template <class P>
struct Rows {
  P* data = nullptr;
  int64_t batch = 0, time = 0;
  explicit operator bool() const { return data != nullptr; }
#if defined(__CUDACC__)
  __host__ __device__
#endif
      P* row(int64_t b, int64_t t) const {
    return data + b * batch + t * time;
  }
};

// One layer over a whole sequence, forward. `constants` [constants, neurons] are expanded to one value per neuron.
template <class T>
struct LayerForward {
  int64_t model = 0, surrogate = 0;  // or the number of the activation, of a model that has it inside
  Activation activation = Activation::identity;
  int64_t batch = 0, steps = 0, neurons = 0;
  Rows<const T> current;         // x_t W (or the input itself)
  const T* recurrent = nullptr;  // R [neurons, recurrent_stride], padded with zeros; null without recurrence
  int64_t recurrent_stride = 0;
  const T* constants = nullptr;       // [constants, neurons]
  const T* initial[kMaxStates] = {};  // [B, neurons] each
  T* final_state[kMaxStates] = {};    // [B, neurons] each: written
  Rows<T> trace[kMaxStates];          // written where given: the state after each step
  Rows<T> out;                        // activation(output state); null when it is the trace of the output state itself
  bool streams = false;               // traces are written past the caches, which they would only flush
};

// Its adjoint. `trace` and `initial` are those of the forward run; traces that the adjoint does not need may be null.
template <class T>
struct LayerBackward {
  int64_t model = 0, surrogate = 0;
  Activation activation = Activation::identity;
  int64_t batch = 0, steps = 0, neurons = 0;
  const T* recurrent_transposed = nullptr;  // R^T [neurons, recurrent_stride], padded with zeros
  const T* recurrent = nullptr;             // R, the same; null: a surrogate of compact support saves nothing
  int64_t recurrent_stride = 0;
  const T* constants = nullptr;
  const T* initial[kMaxStates] = {};
  Rows<const T> trace[kMaxStates];
  Rows<const T> out;                     // needed when there is an activation
  Rows<const T> grad_out;                // dL/d out; null: zero
  Rows<const T> grad_trace[kMaxStates];  // dL/d trace; null: zero
  T* grad_state[kMaxStates] = {};        // [B, neurons]: in dL/d(final state), out dL/d(initial state)
  Rows<T> grad_current;                  // written: dL/d(x_t W)
  T* grad_constants = nullptr;           // [B, constants, neurons], added to; null when not wanted
  bool streams = false;                  // grad_current is written past the caches
};

}  // namespace nt
