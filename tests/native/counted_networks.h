// Counted cases: a network in closed loop, a network that learns while it runs, and least squares.
#pragma once

#include <limits>

#include "counted_inputs.h"

namespace counted {

// Recurrent SpyLIF-LPF neurons and a linear readout with a sigmoid, which has the size of the input. What a network
// and one that learns while it runs have in common.
template <class T>
struct Pair {
  int64_t neurons, batch, steps;
  nt::NetworkLayer<T>* layer = zeros<nt::NetworkLayer<T>>(2);
  int64_t* feedback = zeros<int64_t>(1);  // of output 0
  nt::Rows<const T>* teacher = zeros<nt::Rows<const T>>(1);

  Pair(int64_t neurons_, int64_t batch_, int64_t steps_) : neurons(neurons_), batch(batch_), steps(steps_) {
    layer[0] = {}, layer[1] = {};
    describe(layer[0], "spy_lif_lpf", {0.5, 0.8, 1, 5, 0.6});
    describe(layer[1], "linear", {-0.5});
    layer[1].activation = nt::Activation::sigmoid;
    layer[0].weight = matrix<T>(neurons, neurons, -0.06, 0.06);
    layer[1].weight = matrix<T>(neurons, neurons, -0.2, 0.2);
    layer[0].recurrent = matrix<T>(neurons, neurons, -0.02, 0.02);
  }

  void describe(nt::NetworkLayer<T>& l, const char* name, std::initializer_list<double> values) {
    l.model = model_number(name), l.inputs = l.neurons = neurons;
    l.weight_stride = l.transposed_stride = l.recurrent_stride = nt::padded<T>(neurons);
    l.constants = constants<T>(values, neurons);
  }
  const nt::ModelInfo& info(int k) const { return nt::v3::table.models[layer[k].model]; }
  int64_t entries() const { return batch * steps * neurons; }

  nt::Network<T> network(int64_t given) const {
    nt::Network<T> net{};
    net.batch = batch, net.steps = steps, net.given = given;
    net.layers = 2, net.fed_layers = net.output_layers = 1;
    net.layer = layer, net.feedback = feedback, net.teacher = teacher;
    return net;
  }
};

template <class T>
class ClosedLoop {
 public:
  ClosedLoop(int64_t neurons, int64_t batch, int64_t steps) : pair_(neurons, batch, steps) {
    nt::NetworkLayer<T>* layer = pair_.layer;
    T* input = zeros<T>(pair_.entries());
    for (int64_t b = 0; b < batch; ++b)
      for (int64_t j = 0; j < neurons; ++j) input[b * steps * neurons + j] = static_cast<T>(random().uniform(0, 1));
    layer[0].input = rows(input, steps, neurons);
    for (int k = 0; k < 2; ++k) {
      const nt::ModelInfo& info = pair_.info(k);
      for (int s = 0; s < info.states; ++s) {
        layer[k].initial[s] = zeros<T>(batch * neurons);
        layer[k].final_state[s] = zeros<T>(batch * neurons);
        layer[k].grad_state[s] = zeros<T>(batch * neurons);
        if (k == 0) layer[k].trace[s] = rows(zeros<T>(pair_.entries()), steps, neurons);
      }
      layer[k].weight_transposed = transposed(neurons, neurons, layer[k].weight);
      layer[k].grad_current = rows(zeros<T>(pair_.entries()), steps, neurons);
    }
    layer[0].recurrent_transposed = transposed(neurons, neurons, layer[0].recurrent);
    layer[0].out = layer[1].input = layer[0].trace[pair_.info(0).output];
    layer[1].out = rows(zeros<T>(pair_.entries()), steps, neurons);
    layer[1].grad_out = rows<const T>(uniform<T>(pair_.entries(), -1, 1), steps, neurons);
    net_ = pair_.network(1);
  }

  Work forward() {
    return work([net = net_] { kernels<T>().network_forward(net, 0, net.batch, nt::Team{}); });
  }
  Work backward() {
    return work([net = net_] { kernels<T>().network_backward(net, 0, net.batch, nt::Team{}); });
  }

 private:
  // The forward run is part of the set-up: the adjoint reads its traces.
  Work work(std::function<void()> run) {
    kernels<T>().network_forward(net_, 0, net_.batch, nt::Team{});
    const T* spikes = pair_.layer[0].trace[pair_.info(0).presynaptic].data;
    return {std::move(run), 2 * pair_.entries(), "neuron-step", share_not_zero(pair_.entries(), spikes)};
  }

  Pair<T> pair_;
  nt::Network<T> net_;
};

// ---- learning --------------------------------------------------------------------------------------------------

// e-prop with AdamW and the defaults of `Eprop`: an update after every step, or one at the end of the sequence.
template <class T>
class Learning {
 public:
  Learning(int64_t neurons, int64_t steps, bool every_step) : pair_(neurons, 1, steps) {
    nt::NetworkLayer<T>* layer = pair_.layer;
    const T* input = events<T>(pair_.entries(), 0.3, 1, 0);
    own_ = zeros<nt::OnlineLayer<T>>(2), signal_ = zeros<nt::OnlineSignal<T>>(1), trace_ = zeros<nt::OnlineTrace<T>>(3);
    for (int k = 0; k < 2; ++k) {
      own_[k] = {};
      for (int s = 0; s < pair_.info(k).states; ++s) own_[k].state[s] = zeros<T>(2 * neurons);
      own_[k].instantaneous = true;
    }
    own_[0].x = rows(input, steps, neurons);
    layer[0].input = {zeros<T>(neurons), neurons, 0};
    layer[0].out = layer[1].input = {zeros<T>(neurons), neurons, 0};
    own_[1].out = layer[1].out = rows(zeros<T>(pair_.entries()), steps, neurons);
    own_[1].target = rows<const T>(uniform<T>(pair_.entries(), 0, 1), steps, neurons);
    signal_[0] = {};
    signal_[0].kind[0] = nt::Feedback::dense, signal_[0].matrix[0] = matrix<T>(neurons, neurons, -0.1, 0.1);
    describe(trace_[0], 0, nt::Source::input, layer[0].weight, every_step);
    describe(trace_[1], 0, nt::Source::recurrent, layer[0].recurrent, every_step);
    describe(trace_[2], 1, nt::Source::input, layer[1].weight, every_step);
    run_.network = pair_.network(steps);
    run_.layer = own_, run_.signal = signal_, run_.trace = trace_;
    run_.signals = 1, run_.traces = 3;
    run_.end = steps, run_.every = every_step ? 1 : steps;
    run_.signal_clip = run_.trace_clip = run_.gradient_clip = std::numeric_limits<double>::infinity();
    for (nt::OnlineOptimizer& o : run_.optimizer) o = {nt::Rule::adamw, false, 1e-5, 1e-2, 0.9, 0.999, 1e-8};
    run_.shared_signals = zeros<T>(nt::padded<T>(neurons));
    run_.shared_squares = zeros<double>(3 * neurons);
    run_.found = zeros<int64_t>(1);
  }

  Work work() {
    const int64_t synapses = 3 * pair_.neurons * pair_.neurons;
    const int64_t last = (pair_.steps & 1) * pair_.neurons;
    const T* spikes = own_[0].state[pair_.info(0).presynaptic] + last;
    return {[run = run_] { kernels<T>().online_run(run, nt::Team{}); }, synapses * pair_.steps, "synapse-step",
            share_not_zero(pair_.neurons, spikes)};
  }

 private:
  void describe(nt::OnlineTrace<T>& a, int64_t layer, nt::Source source, const T* weights, bool every_step) {
    a = {};
    a.layer = a.group = layer, a.source = source;
    a.rows = a.columns = pair_.neurons, a.stride = nt::padded<T>(a.columns);
    a.poles = 1, a.pole[0] = T(1e-3), a.filtered[0] = zeros<T>(a.rows * a.stride);
    a.signal = a.sign_signal = layer == 0 ? 0 : nt::kOnes;
    a.weight = a.effective = const_cast<T*>(weights);  // ours, as in the library: the network reads what is stored
    a.first_moment = zeros<T>(a.rows * a.stride), a.second_moment = zeros<T>(a.rows * a.stride);
    if (!every_step) a.grad = zeros<T>(a.rows * a.stride);
  }

  Pair<T> pair_;
  nt::OnlineLayer<T>* own_;
  nt::OnlineSignal<T>* signal_;
  nt::OnlineTrace<T>* trace_;
  nt::Online<T> run_{};
};

template <class T>
Work rls_update(int64_t scale) {
  constexpr int64_t kInputs = 250, kOutputs = 100;
  nt::RlsUpdate<T> a{};
  a.inputs = kInputs, a.outputs = kOutputs;
  a.inverse = zeros<T>(kInputs * kInputs);
  for (int64_t i = 0; i < kInputs; ++i) a.inverse[i * (kInputs + 1)] = T(1);
  a.weight_stride = nt::padded<T>(kOutputs), a.weight = matrix<T>(kInputs, kOutputs, -1, 1);
  a.regressor = uniform<T>(kInputs, 0, 1), a.error = uniform<T>(kOutputs, -1, 1);
  a.direction = zeros<T>(kInputs);
  const auto run = [=] {
    for (int64_t t = 0; t < 10 * scale; ++t) kernels<T>().rls_update(a);
  };
  return {run, 10 * scale * kInputs * kInputs, "entry of P"};
}

}  // namespace counted
