// One run of a network that learns while it runs (e-prop, least squares): the network, the traces of its synapses,
// learning signals and optimisers. Torch-free. Rows are padded with zeros to `stride` entries unless said otherwise.
#pragma once

#include "network_arguments.h"
#include "rls_arguments.h"

namespace nt {

constexpr int kMaxOutputs = 8, kMaxPoles = 2;

enum class Rule : int64_t { none, sgd, adamw };

// The optimiser of a group of parameters: 0 for the hidden layers, 1 for the outputs.
struct OnlineOptimizer {
  Rule rule = Rule::none;  // none: gradients stay where they are
  bool maximize = false;
  double rate = 0, weight_decay = 0, beta1 = 0, beta2 = 0, epsilon = 0;
};

// What the driver keeps of one layer besides NetworkLayer. States stand in two rows [B, neurons], the one before step t
// at t & 1; inputs and outputs of hidden layers in rows that every step overwrites.
template <class T>
struct OnlineLayer {
  T* state[kMaxStates] = {};    // [2, B, neurons]
  T* history[kMaxStates] = {};  // [B, keep, neurons]: the last steps; null: not wanted
  Rows<const T> x;              // fed layers: the given inputs
  Rows<T> out;                  // output layers: all steps
  Rows<const T> target;         // output layers; its first step is step `first_target` of the run
  int64_t first_target = 0;
  const T* slope = nullptr;  // [B, neurons] gradient of the criterion; null: that of the mean squared error
  bool instantaneous = false, memory = false, constants = false;  // which local derivatives its traces read
};

enum class Feedback : int64_t { none, dense, scalar, rows };

// L = sum over outputs of error B.
template <class T>
struct OnlineSignal {
  int64_t layer = 0;
  Feedback kind[kMaxOutputs] = {};
  const T* matrix[kMaxOutputs] = {};  // dense [n_out, stride], scalar [n_out], rows [neurons, row_stride] (B^T)
  int64_t row_stride[kMaxOutputs] = {};
};

enum class Source : int64_t { input, recurrent, constant };
// How the network's constant follows from the stored number w: w, w^2, scale / w^2, 1 / (1 + exp(-w)), exp(w).
enum class Map : int64_t { identity, square, rate, logistic, exponential };
constexpr int64_t kOnes = -1;  // as a learning signal; -2 - k: the error of output k

// All synapses of one matrix, or the neurons' shares in one constant (rows = 1): traces, gradient, optimiser state.
//
//   memory:  vector <- J vector + b pre      per sample; e is its output state
//   else:    e = sum over samples of pre D
//   filters: f <- pole f + e
//   gradient += signal f, summed over sets (the samples, or one that holds their sum)
template <class T>
struct OnlineTrace {
  int64_t layer = 0;
  Source source = Source::input;
  int64_t constant = 0;
  int64_t rows = 0, columns = 0, stride = 0;
  bool memory = false, post_error = false;  // post_error: the output's error stands for D
  int64_t sets = 1;
  T* vectors = nullptr;  // [sets, states, rows, stride]
  int64_t poles = 0, input_poles = 0;
  T pole[kMaxPoles] = {}, input_pole[kMaxPoles] = {};
  T* filtered[kMaxPoles] = {};        // [sets, rows, stride]
  T* filtered_input[kMaxPoles] = {};  // [B, rows]: filters of the presynaptic side
  int64_t signal = kOnes, sign_signal = kOnes;
  int64_t group = 0;
  T* grad = nullptr;       // [rows, stride], added to; null: taken from the traces at every step
  T* sign_grad = nullptr;  // [rows], added to: dL/d(activated sign)

  T* weight = nullptr;     // stored weights [rows, stride]
  T* effective = nullptr;  // what the network reads: weight, masked, or weight^2 tanh(sign), masked
  const T* mask = nullptr;
  T* sign = nullptr;  // [rows]; null without Dale's law
  T *first_moment = nullptr, *second_moment = nullptr;
  T *sign_first_moment = nullptr, *sign_second_moment = nullptr;
  T* twin = nullptr;  // adaptive feedback, like weight: gets the same steps and decay
  bool scalar = false;
  Map map = Map::identity;  // of a constant
  T map_scale = T(1);
  double steps = 0, sign_steps = 0;  // updates before this run
};

// The output of the step before, that of the step itself, or what the weights saw.
enum class Regressor : int64_t { before, after, presynaptic };

// Recursive least squares of one matrix, which takes a step after every step of the network.
template <class T>
struct OnlineSolver {
  int64_t output = 0;  // whose error it is; regressor and error are means over the samples
  int64_t layer = 0;   // the matrix
  Source source = Source::input;
  Regressor regressor = Regressor::before;
  const T* before = nullptr;  // [inputs]: the output before at the first target
  RlsUpdate<T> update;        // stored weights, P and the rule; the driver adds regressor and error
  T* effective = nullptr;     // what the network reads, like the stored weights, and maybe the same
  const T* mask = nullptr;    // like the weights; null: none
  const T* sign = nullptr;    // [inputs], activated; null without Dale's law
};

template <class T>
struct Online {
  Network<T> network;
  const OnlineLayer<T>* layer = nullptr;
  const OnlineSignal<T>* signal = nullptr;
  const OnlineTrace<T>* trace = nullptr;
  const OnlineSolver<T>* solver = nullptr;
  int64_t signals = 0, traces = 0, solvers = 0, keep = 0;
  int64_t begin = 0, end = 0;  // steps of this call
  bool forward = true, learn = true;
  int64_t every = 1, first_target = 0;  // update after so many steps, and none before the first target
  bool mean_error = false, watch = false;
  double signal_clip = 0, trace_clip = 0, gradient_clip = 0;  // infinite: none
  T nan = T(0), positive = T(0), negative = T(0);             // in place of what is not finite
  OnlineOptimizer optimizer[2];
  T* shared_signals = nullptr;       // [signals, B, widest padded row]
  double* shared_squares = nullptr;  // [rows of all traces]: squared norms
  int64_t* found =
      nullptr;  // set when the run stops: 1 + group of a watched gradient; with solvers 1: a P, 2: an error
};

}  // namespace nt
