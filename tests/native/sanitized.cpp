// The CUDA kernels under a sanitizer: a program of its own, since a sanitizer must be there when the process starts.
//
//   sanitized_thread kernels ORDER       runs every kernel; ThreadSanitizer must stay silent
//   sanitized_thread race N              the same with the n-th barrier of every thread left out: it must report
//   sanitized_thread blocks              two blocks that add to the same word: it must report
//   sanitized_address kernels ORDER      runs every kernel; AddressSanitizer must stay silent
//   sanitized_address overflow           an input one entry too short: it must report
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include "csrc/cuda/layer.cu"
#include "self_tests.h"

namespace {

// Buffers with exactly the entries that a layer needs.
template <class T>
class Layer {
 public:
  Layer(int64_t model, int64_t surrogate, int64_t batch, int64_t steps, int64_t neurons, bool recurrent,
        int64_t missing = 0)
      : batch_(batch),
        steps_(steps),
        neurons_(neurons),
        entries_(static_cast<size_t>(batch * steps * neurons)),
        current_(random(entries_ - static_cast<size_t>(missing))),
        weights_(random(static_cast<size_t>(neurons * neurons))) {
    forward_.model = backward_.model = model;
    forward_.surrogate = backward_.surrogate = surrogate;
    forward_.batch = backward_.batch = batch;
    forward_.steps = backward_.steps = steps;
    forward_.neurons = backward_.neurons = neurons;
    const int64_t states = 2 + model, constants = 3 + model;  // lif, spy_lif
    constants_.assign(static_cast<size_t>(constants * neurons), T(0.9));
    forward_.current = rows<const T>(current_);
    forward_.constants = backward_.constants = constants_.data();
    if (recurrent) {
      forward_.recurrent = backward_.recurrent_transposed = weights_.data();
      forward_.recurrent_stride = backward_.recurrent_stride = neurons;
    }
    const auto row = static_cast<size_t>(batch * neurons);
    for (int64_t k = 0; k < states; ++k) {
      initial_[k].assign(row, T(0));
      final_[k].resize(row);
      grad_state_[k] = random(row);
      trace_[k].resize(entries_);
      forward_.initial[k] = backward_.initial[k] = initial_[k].data();
      forward_.final_state[k] = final_[k].data();
      forward_.trace[k] = rows<T>(trace_[k]);
      backward_.trace[k] = rows<const T>(trace_[k]);
      backward_.grad_trace[k] = rows<const T>(current_);
      backward_.grad_state[k] = grad_state_[k].data();
    }
    grad_current_.resize(entries_);
    grad_constants_.resize(static_cast<size_t>(batch * constants * neurons));
    backward_.grad_out = rows<const T>(current_);
    backward_.grad_current = rows<T>(grad_current_);
    backward_.grad_constants = grad_constants_.data();
  }

  void run() {
    if (!nt::cuda::layer_forward(forward_, nullptr) || !nt::cuda::layer_backward(backward_, nullptr)) std::abort();
  }

 private:
  template <class P, class V>
  nt::Rows<P> rows(V& values) {
    return {values.data(), steps_ * neurons_, neurons_};
  }
  static std::vector<T> random(size_t count) {
    std::mt19937 generator(7);
    std::uniform_real_distribution<T> value(T(-0.4), T(0.6));
    std::vector<T> values(count);
    for (T& v : values) v = value(generator);
    return values;
  }

  int64_t batch_, steps_, neurons_;
  size_t entries_;
  std::vector<T> current_, weights_, constants_, grad_current_, grad_constants_;
  std::vector<T> initial_[nt::kMaxStates], final_[nt::kMaxStates], grad_state_[nt::kMaxStates], trace_[nt::kMaxStates];
  nt::LayerForward<T> forward_;
  nt::LayerBackward<T> backward_;
};

void run_kernels() {
  for (const int64_t neurons : {1, 40, 70}) {
    for (const bool recurrent : {false, true}) {
      Layer<float>(0, 0, 2, 6, neurons, recurrent).run();
      Layer<float>(0, 1, 2, 6, neurons, recurrent).run();
      Layer<double>(1, 0, 2, 6, neurons, recurrent).run();
      Layer<double>(1, 1, 2, 6, neurons, recurrent).run();
    }
  }
  Layer<float>(0, 0, 1, 3, 1100, true).run();  // several neurons a thread
}

}  // namespace

int main(int argc, char** argv) {
  const std::string task = argc > 1 ? argv[1] : "";
  const int number = argc > 2 ? std::atoi(argv[2]) : 0;
  if (task == "kernels") {
    cuemu::options().order = number;
    run_kernels();
  } else if (task == "race") {
    cuemu::options().dropped_barrier = static_cast<unsigned>(number);
    Layer<float>(0, 0, 1, 4, 70, true).run();
  } else if (task == "blocks") {
    emulator::fault("blocks_race");
  } else if (task == "overflow") {
    Layer<float>(0, 0, 1, 4, 70, true, 1).run();
  } else {
    std::fprintf(stderr, "expected kernels ORDER, race N, blocks or overflow\n");
    return 2;
  }
  std::puts("done");
  return 0;
}
