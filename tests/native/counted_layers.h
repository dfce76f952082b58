// Counted cases: one layer over a sequence, and what the projections and weight gradients are made of.
#pragma once

#include "counted_inputs.h"

namespace counted {

struct Shape {
  int64_t batch, steps, neurons;
  bool recurrent;
  int64_t entries() const { return batch * steps * neurons; }
  // What a kernel's [begin, end) counts.
  int64_t parts() const { return recurrent ? batch : batch * nt::tiles_of(neurons); }
};

// A layer with its sequence; 5 % of the currents make a neuron fire.
template <class T>
class Layer {
 public:
  Layer(const char* name, std::initializer_list<double> values, const Shape& shape, bool learns_constants = false)
      : shape_(shape) {
    const int64_t n = shape.neurons, model = model_number(name);
    const nt::ModelInfo& info = nt::v3::table.models[model];
    const unsigned saved =
        info.saved | (learns_constants ? info.saved_for_constants : 0u) | 1u << info.output | 1u << info.presynaptic;
    forward_.model = backward_.model = model;
    forward_.batch = backward_.batch = shape.batch;
    forward_.steps = backward_.steps = shape.steps;
    forward_.neurons = backward_.neurons = n;
    forward_.current = rows<const T>(events<T>(shape.entries(), 0.05, 1.5, 0.1), shape.steps, n);
    forward_.constants = backward_.constants = constants<T>(values, n);
    if (shape.recurrent) {
      const T* weights = matrix<T>(n, n, -0.02, 0.02);
      forward_.recurrent = weights, backward_.recurrent_transposed = transposed(n, n, weights);
      forward_.recurrent_stride = backward_.recurrent_stride = nt::padded<T>(n);
    }
    for (int k = 0; k < info.states; ++k) {
      forward_.initial[k] = backward_.initial[k] = zeros<T>(shape.batch * n);
      forward_.final_state[k] = zeros<T>(shape.batch * n);
      backward_.grad_state[k] = zeros<T>(shape.batch * n);
      if ((saved >> k & 1u) == 0) continue;
      forward_.trace[k] = rows(zeros<T>(shape.entries()), shape.steps, n);
      backward_.trace[k] = rows<const T>(forward_.trace[k].data, shape.steps, n);
    }
    out_ = forward_.trace[info.output].data;
    backward_.grad_out = rows<const T>(uniform<T>(shape.entries(), -1, 1), shape.steps, n);
    backward_.grad_current = rows(zeros<T>(shape.entries()), shape.steps, n);
    if (learns_constants) backward_.grad_constants = zeros<T>(shape.batch * info.constants * n);
  }

  Work forward() {
    return work([a = forward_, end = shape_.parts()] { kernels<T>().layer_forward(a, 0, end); });
  }
  Work backward() {
    return work([a = backward_, end = shape_.parts()] { kernels<T>().layer_backward(a, 0, end, nt::Team{}); });
  }

 private:
  // The forward run is part of the set-up: the adjoint reads its traces.
  Work work(std::function<void()> run) {
    kernels<T>().layer_forward(forward_, 0, shape_.parts());
    return {std::move(run), shape_.entries(), "neuron-step", share_not_zero(shape_.entries(), out_)};
  }

  Shape shape_;
  nt::LayerForward<T> forward_{};
  nt::LayerBackward<T> backward_{};
  const T* out_;
};

template <class T>
Layer<T> lif(const Shape& shape) {
  return {"lif", {0.8, 1, 5}, shape};
}

template <class T>
Layer<T> spy_lif(const Shape& shape) {
  return {"spy_lif", {0.5, 0.8, 1, 5}, shape, true};
}

// ---- sums over spikes --------------------------------------------------------------------------------------------

// The entries that are not zero of `count` sparse rows.
template <class T>
struct Spikes {
  int64_t count, width;
  const T* rows;
  int32_t* index;
  T* value;
  int64_t* start;

  Spikes(int64_t count_, int64_t width_)
      : count(count_),
        width(width_),
        rows(events<T>(count_ * width_, 0.05, 1, 0)),
        index(zeros<int32_t>((count_ + 1) * width_)),
        value(zeros<T>((count_ + 1) * width_)),
        start(zeros<int64_t>(count_ + 1)) {
    compress();
  }

  void compress() const {
    for (int64_t r = 0; r < count; ++r)
      start[r + 1] = start[r] + kernels<T>().compress(width, rows + r * width, index + start[r], value + start[r]);
  }
  int64_t events_found() const { return start[count]; }
  std::function<double()> share() const { return share_not_zero(count * width, rows); }
};

template <class T>
Work compress(int64_t scale) {
  const Spikes<T> spikes(40 * scale, 1024);
  return {[=] { spikes.compress(); }, spikes.count * spikes.width, "entry", spikes.share()};
}

template <class T>
Work gather(int64_t scale) {
  const Spikes<T> spikes(40 * scale, 1024);
  constexpr int64_t kColumns = 256;
  const T* weights = matrix<T>(spikes.width, kColumns, -1, 1);
  T* out = zeros<T>(spikes.count * kColumns);
  const auto run = [=] {
    for (int64_t r = 0; r < spikes.count; ++r)
      kernels<T>().gather(kColumns, spikes.start[r + 1] - spikes.start[r], spikes.index + spikes.start[r],
                          spikes.value + spikes.start[r], weights, kColumns, out + r * kColumns);
  };
  return {run, spikes.events_found() * kColumns, "multiply-add", spikes.share()};
}

// The gradient of 512 rows of weights: events of each, in the order of the rows of gradients that they meet.
template <class T>
Work scatter_outer(int64_t scale) {
  const Spikes<T> spikes(512, 128 * scale);
  constexpr int64_t kColumns = 250;
  const T* gradients = uniform<T>(spikes.width * kColumns, -1, 1);
  auto* rows_of_gradients = zeros<const T*>(spikes.width);
  for (int64_t t = 0; t < spikes.width; ++t) rows_of_gradients[t] = gradients + t * kColumns;
  auto* start = zeros<int32_t>(spikes.count + 1);
  for (int64_t p = 0; p <= spikes.count; ++p) start[p] = static_cast<int32_t>(spikes.start[p]);
  T* grad = zeros<T>(spikes.count * kColumns);
  const auto run = [=] {
    kernels<T>().scatter_outer(kColumns, 0, spikes.count, start, spikes.index, spikes.value, rows_of_gradients, grad,
                               kColumns);
  };
  return {run, spikes.events_found() * kColumns, "multiply-add", spikes.share()};
}

}  // namespace counted
