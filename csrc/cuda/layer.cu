// CUDA drivers of one layer over a whole sequence: time loops over the equations of csrc/models. Torch-free.
//
// Without recurrence every neuron is on its own: one thread each. With recurrence a block takes a sample, and its
// threads meet once a step to list the presynaptic entries that are not zero (sparse_row.cuh). A thread keeps its first
// column in registers; a layer with more neurons than a block has threads leaves the further ones in the buffers of the
// final state and of its gradient, where they end up anyway.
#include "compat.cuh"
#include "layer.h"
#include "sparse_row.cuh"

namespace nt::cuda {

namespace {

enum ModelNumber : int64_t {
#define NT_NUMBER(name, MODEL) k_##name,
  NT_MODELS(NT_NUMBER)
#undef NT_NUMBER
};

enum SurrogateNumber : int64_t {
#define NT_NUMBER(name, SURROGATE) s_##name,
  NT_SURROGATES(NT_NUMBER)
#undef NT_NUMBER
};

// Models that have CUDA kernels.
#define NT_CUDA_MODELS(X) \
  X(lif, Lif)             \
  X(spy_lif, SpyLif)

constexpr int kThreads = 256;  // of a block without recurrence; one such block on a multiprocessor is enough: no spills
// At most, of a block that has a sample; that leaves 64 or 128 registers for each.
template <class T>
constexpr int kSampleThreads = sizeof(T) == 4 ? 1024 : 512;

template <class T>
__device__ T read(const T* address) {
  return __ldg(address);
}

// States and constants from and to arrays of rows; `at` is the entry of the row.
template <class State, class T>
NT_HD State load_state(T* const* rows, int64_t at) {
  State s;
  s.each([&](int k, auto& value) { value = rows[k][at]; });
  return s;
}

template <class State, class T>
NT_HD void store_state(State s, T* const* rows, int64_t at) {
  s.each([&](int k, T& value) { rows[k][at] = value; });
}

template <class Constants, class T>
NT_HD Constants load_constants(const T* rows, int64_t neurons, int64_t j) {
  Constants c;
  c.each([&](int k, T& value) { value = rows[k * neurons + j]; });
  return c;
}

// ---- forward -------------------------------------------------------------------------------------------------

template <class M, class T>
struct Neuron {
  typename M::Constants constants;
  typename M::State state;
};

template <class M, class T>
__device__ Neuron<M, T> load_neuron(const LayerForward<T>& a, const T* const* state, int64_t b, int j) {
  return {load_constants<typename M::Constants>(a.constants, a.neurons, j),
          load_state<typename M::State>(state, b * a.neurons + j)};
}

template <class M, class T>
__device__ void step_neuron(const LayerForward<T>& a, int64_t b, int64_t t, int j, T recurrent, Neuron<M, T>& neuron) {
  neuron.state = M::step(neuron.constants, neuron.state, read(a.current.row(b, t) + j), recurrent);
  typename M::State state = neuron.state;
  state.each([&](int k, T& value) {
    if (a.trace[k].data != nullptr) a.trace[k].row(b, t)[j] = value;
    if (k == M::kOutput && a.out.data != nullptr)
      a.out.row(b, t)[j] = M::kSpiking ? value : activate(a.activation, value);
  });
}

template <class M, class T>
__global__ void __launch_bounds__(kThreads, 1) forward_independent(const LayerForward<T> a) {
  const int64_t b = blockIdx.x;
  const int j = static_cast<int>(blockIdx.y * blockDim.x + threadIdx.x);
  if (j >= a.neurons) return;
  Neuron<M, T> neuron = load_neuron<M>(a, a.initial, b, j);
  for (int64_t t = 0; t < a.steps; ++t) step_neuron<M>(a, b, t, j, T(0), neuron);
  store_state(neuron.state, a.final_state, b * a.neurons + j);
}

template <class M, class T>
__global__ void __launch_bounds__(kSampleThreads<T>) forward_recurrent(const LayerForward<T> a) {
  NT_DYNAMIC_SHARED(shared);
  const int64_t b = blockIdx.x;
  const int n = static_cast<int>(a.neurons);
  const int first = static_cast<int>(threadIdx.x), threads = static_cast<int>(blockDim.x);
  T* presynaptic = a.final_state[M::kPresynaptic] + b * n;
  Neuron<M, T> mine = {};
  for (int j = first; j < n; j += threads) {
    const Neuron<M, T> neuron = load_neuron<M>(a, a.initial, b, j);
    if (j == first) mine = neuron;
    store_state(neuron.state, a.final_state, b * n + j);
  }
  SparseRow<T> spikes(shared, n);
  for (int64_t t = 0; t < a.steps; ++t) {
    spikes.compress(presynaptic, n);
    for (int j = first; j < n; j += threads) {
      Neuron<M, T> neuron = j == first ? mine : load_neuron<M>(a, a.final_state, b, j);
      step_neuron<M>(a, b, t, j, spikes.times(a.recurrent, a.recurrent_stride, j), neuron);
      if (j == first) mine = neuron;
      store_state(neuron.state, a.final_state, b * n + j);
    }
  }
}

// ---- adjoint -------------------------------------------------------------------------------------------------

template <class M, class T>
struct Adjoint {
  typename M::Constants constants, grad_constants;
  typename M::State grad;
};

template <class T>
NT_HD T* grad_constants_of(const LayerBackward<T>& a, int64_t b, int constants) {
  return a.grad_constants == nullptr ? nullptr : a.grad_constants + b * constants * a.neurons;
}

template <class M, class T>
__device__ Adjoint<M, T> load_adjoint(const LayerBackward<T>& a, int64_t b, int j) {
  Adjoint<M, T> adjoint = {load_constants<typename M::Constants>(a.constants, a.neurons, j),
                           {},
                           load_state<typename M::State>(a.grad_state, b * a.neurons + j)};
  if (const T* rows = grad_constants_of(a, b, M::kConstants))
    adjoint.grad_constants = load_constants<typename M::Constants>(rows, a.neurons, j);
  return adjoint;
}

template <class M, class T>
__device__ void store_adjoint(const LayerBackward<T>& a, int64_t b, int j, Adjoint<M, T> adjoint) {
  store_state(adjoint.grad, a.grad_state, b * a.neurons + j);
  if (T* rows = grad_constants_of(a, b, M::kConstants))
    adjoint.grad_constants.each([&](int k, T& value) { rows[k * a.neurons + j] = value; });
}

// The state after step t, completed from the traces that the adjoint keeps. The initial state, t = -1, is given whole.
template <class M, class T>
__device__ typename M::State saved_state(const LayerBackward<T>& a, const typename M::Constants& c, int64_t b,
                                         int64_t t, int j) {
  if (t < 0) return load_state<typename M::State>(a.initial, b * a.neurons + j);
  typename M::State s;
  s.each([&](int k, T& value) {
    const bool saved = M::kSaved >> k & 1u || (M::kSavedForConstants >> k & 1u && a.grad_constants != nullptr);
    value = saved ? read(a.trace[k].row(b, t) + j) : T(0);
  });
  M::restore(c, s);
  return s;
}

// `recurrent` is entry j of c_{t+1} R^T, which is dL/d(presynaptic state) from the step after. Writes c_t.
template <class M, class T>
__device__ void adjoint_step(const LayerBackward<T>& a, int64_t b, int64_t t, int j, T recurrent,
                             Adjoint<M, T>& adjoint) {
  T grad_out = 0;
  if (a.grad_out.data != nullptr) {
    grad_out = read(a.grad_out.row(b, t) + j);
    if (!M::kSpiking && a.activation != Activation::identity)
      grad_out = activate_adjoint(a.activation, read(a.out.row(b, t) + j), grad_out);
  }
  typename M::State grad = adjoint.grad;
  grad.each([&](int k, T& value) {
    if (a.grad_trace[k].data != nullptr) value += read(a.grad_trace[k].row(b, t) + j);
    if (k == M::kPresynaptic) value += recurrent;
    if (k == M::kOutput) value += grad_out;
  });
  const typename M::State before = saved_state<M>(a, adjoint.constants, b, t - 1, j);
  const typename M::State after = saved_state<M>(a, adjoint.constants, b, t, j);
  T grad_current;
  typename M::Constants grad_constants = {};
  adjoint.grad = M::adjoint(adjoint.constants, before, after, grad, grad_current, grad_constants);
  a.grad_current.row(b, t)[j] = grad_current;
  T step[M::kConstants];
  grad_constants.each([&](int k, T& value) { step[k] = value; });
  adjoint.grad_constants.each([&](int k, T& value) { value += step[k]; });
}

template <class M, class T>
__global__ void __launch_bounds__(kThreads, 1) backward_independent(const LayerBackward<T> a) {
  const int64_t b = blockIdx.x;
  const int j = static_cast<int>(blockIdx.y * blockDim.x + threadIdx.x);
  if (j >= a.neurons) return;
  Adjoint<M, T> adjoint = load_adjoint<M>(a, b, j);
  for (int64_t t = a.steps - 1; t >= 0; --t) adjoint_step<M>(a, b, t, j, T(0), adjoint);
  store_adjoint<M>(a, b, j, adjoint);
}

template <class M, class T>
__global__ void __launch_bounds__(kSampleThreads<T>) backward_recurrent(const LayerBackward<T> a) {
  NT_DYNAMIC_SHARED(shared);
  const int64_t b = blockIdx.x;
  const int n = static_cast<int>(a.neurons);
  const int first = static_cast<int>(threadIdx.x), threads = static_cast<int>(blockDim.x);
  Adjoint<M, T> mine = {};
  if (first < n) mine = load_adjoint<M>(a, b, first);
  SparseRow<T> later(shared, n);  // c_{t+1}, empty at the last step
  for (int64_t t = a.steps - 1; t >= 0; --t) {
    for (int j = first; j < n; j += threads) {
      Adjoint<M, T> adjoint = j == first ? mine : load_adjoint<M>(a, b, j);
      adjoint_step<M>(a, b, t, j, later.times(a.recurrent_transposed, a.recurrent_stride, j), adjoint);
      if (j == first)
        mine = adjoint;
      else
        store_adjoint<M>(a, b, j, adjoint);
    }
    later.compress(a.grad_current.row(b, t), n);
  }
  if (first < n) store_adjoint<M>(a, b, first, mine);
  for (int j = first; j < n; j += threads)
    a.grad_state[M::kPresynaptic][b * n + j] += later.times(a.recurrent_transposed, a.recurrent_stride, j);
}

// ---- launch --------------------------------------------------------------------------------------------------

dim3 independent_grid(int64_t batch, int64_t neurons) {
  return dim3(static_cast<unsigned>(batch), static_cast<unsigned>((neurons + kThreads - 1) / kThreads));
}

// Whole warps, and every thread with the same number of columns as far as that goes.
template <class T>
dim3 sample_block(int64_t neurons) {
  const int64_t columns = (neurons + kSampleThreads<T> - 1) / kSampleThreads<T>;
  return dim3(static_cast<unsigned>(((neurons + columns - 1) / columns + 31) / 32 * 32));
}

template <class M, class T>
bool launch_forward(const LayerForward<T>& a, cudaStream_t stream) {
  if constexpr (M::kPresynaptic >= 0) {
    if (a.recurrent != nullptr) {
      const size_t bytes = SparseRow<T>::bytes(a.neurons);
      if (!NT_ALLOW_SHARED((forward_recurrent<M, T>), bytes)) return false;
      NT_LAUNCH((forward_recurrent<M, T>), dim3(static_cast<unsigned>(a.batch)), sample_block<T>(a.neurons), bytes,
                stream, a);
      return true;
    }
  }
  NT_LAUNCH((forward_independent<M, T>), independent_grid(a.batch, a.neurons), dim3(kThreads), 0, stream, a);
  return true;
}

template <class M, class T>
bool launch_backward(const LayerBackward<T>& a, cudaStream_t stream) {
  if constexpr (M::kPresynaptic >= 0) {
    if (a.recurrent_transposed != nullptr) {
      const size_t bytes = SparseRow<T>::bytes(a.neurons);
      if (!NT_ALLOW_SHARED((backward_recurrent<M, T>), bytes)) return false;
      NT_LAUNCH((backward_recurrent<M, T>), dim3(static_cast<unsigned>(a.batch)), sample_block<T>(a.neurons), bytes,
                stream, a);
      return true;
    }
  }
  NT_LAUNCH((backward_independent<M, T>), independent_grid(a.batch, a.neurons), dim3(kThreads), 0, stream, a);
  return true;
}

template <template <class, class> class MODEL, class T>
bool launch_surrogate(const LayerBackward<T>& a, cudaStream_t stream) {
  switch (a.surrogate) {
#define NT_CASE(name, SURROGATE) \
  case s_##name:                 \
    return launch_backward<MODEL<T, SURROGATE>>(a, stream);
    NT_SURROGATES(NT_CASE)
#undef NT_CASE
    default:
      return false;
  }
}

}  // namespace

bool supported(int64_t model, Activation activation) {
  switch (model) {
#define NT_CASE(name, MODEL) \
  case k_##name:             \
    return activation == Activation::identity || !MODEL<float, FastSigmoid>::kSpiking;
    NT_CUDA_MODELS(NT_CASE)
#undef NT_CASE
    default:
      return false;
  }
}

template <class T>
bool layer_forward(const LayerForward<T>& a, cudaStream_t stream) {
  if (!supported(a.model, a.activation)) return false;
  if (a.batch == 0 || a.neurons == 0) return true;
  switch (a.model) {  // the step is the same for every surrogate
#define NT_CASE(name, MODEL) \
  case k_##name:             \
    return launch_forward<MODEL<T, FastSigmoid>>(a, stream);
    NT_CUDA_MODELS(NT_CASE)
#undef NT_CASE
    default:
      return false;
  }
}

template <class T>
bool layer_backward(const LayerBackward<T>& a, cudaStream_t stream) {
  if (!supported(a.model, a.activation)) return false;
  if (a.batch == 0 || a.neurons == 0) return true;
  switch (a.model) {
#define NT_CASE(name, MODEL) \
  case k_##name:             \
    return launch_surrogate<MODEL>(a, stream);
    NT_CUDA_MODELS(NT_CASE)
#undef NT_CASE
    default:
      return false;
  }
}

template bool layer_forward<float>(const LayerForward<float>&, cudaStream_t);
template bool layer_forward<double>(const LayerForward<double>&, cudaStream_t);
template bool layer_backward<float>(const LayerBackward<float>&, cudaStream_t);
template bool layer_backward<double>(const LayerBackward<double>&, cudaStream_t);

}  // namespace nt::cuda
