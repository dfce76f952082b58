// One time step of one row of neurons, for any model: the only loops that know a model's equations. The drivers
// (layer.h, network.h) call them through the table of row kernels.
#pragma once

#include "../activation.h"
#include "../arguments.h"
#include "../models/models.h"
#include "simd.h"

NT_NAMESPACE_BEGIN

template <class T>
struct StepRow {
  int64_t n;
  const T* constants;  // [constants, stride]
  int64_t stride;
  const T* before[kMaxStates];
  T* after[kMaxStates];  // may be the same rows as before
  const T* current;
  const T* recurrent;
};

template <class T>
struct AdjointRow {
  int64_t n;
  const T* constants;
  int64_t stride;
  const T* before[kMaxStates];  // null where the model restores the state from the saved ones
  const T* after[kMaxStates];
  const T* grad_out;          // dL/d(output state) from the output
  const T* grad_recurrent;    // c_{t+1} R^T: dL/d(presynaptic state)
  T* grad_state[kMaxStates];  // in: after the step, out: before it
  T* grad_current;
  T* grad_constants;  // [constants, stride], added to; only with kConstants
};

// What only some models have: an activation inside, and a function of the state that the recurrent weights see.
template <class M>
concept ActivatesInside = requires { requires M::kActivatesInside; };
template <class M>
concept ComputesPresynaptic = requires { &M::presynaptic; };

template <class T>
struct RowKernels {
  void (*step)(const StepRow<T>&);
  void (*adjoint)(const AdjointRow<T>&, bool initial, bool constants);
  void (*presynaptic)(int64_t n, const T* constants, const T* const* saved, T* out);
  // Adds dL/d(presynaptic state) from `grad`, dL/d(what the recurrent weights see of the state).
  void (*add_presynaptic)(int64_t n, const T* const* state, const T* grad, T* grad_state);
  // The surrogate derivative at a state of which the saved rows are given; null where its support is not compact.
  void (*slope)(int64_t n, const T* constants, int64_t stride, const T* const* saved, T* out);
};

template <class M, class T>
NT_HD typename M::Constants load_constants(const T* constants, int64_t stride, int64_t j) {
  typename M::Constants c;
  c.each([&](int k, T& value) { value = constants[k * stride + j]; });
  return c;
}

template <class M, class T>
void step_row(const StepRow<T>& a) {
  const StepRow<T> row = a;
  NT_SIMD
  for (int64_t j = 0; j < row.n; ++j) {
    const typename M::Constants c = load_constants<M>(row.constants, row.stride, j);
    typename M::State before;
    before.each([&](int k, T& value) { value = row.before[k][j]; });
    typename M::State after = M::step(c, before, row.current[j], row.recurrent[j]);
    after.each([&](int k, T& value) { row.after[k][j] = value; });
  }
}

// Saved states are read from their traces, the others restored; at the first step all of them are given.
template <class M, bool kGiven, unsigned kKnown, class T>
NT_HD typename M::State load_state(const typename M::Constants& c, const T* const* rows, int64_t j) {
  typename M::State s;
  s.each([&](int k, T& value) { value = kGiven || (kKnown >> k & 1u) ? rows[k][j] : T(0); });
  if constexpr (!kGiven) M::restore(c, s);
  return s;
}

template <class M, class T>
NT_HD T presynaptic_adjoint(const typename M::State& state, T grad) {
  if constexpr (ComputesPresynaptic<M>) {
    return M::presynaptic_adjoint(state, grad);
  } else {
    return (void)state, grad;
  }
}

template <class M, bool kInitial, bool kConstants, class T>
void adjoint_row_loop(const AdjointRow<T>& a) {
  const AdjointRow<T> row = a;
  constexpr unsigned kKnown = M::kSaved | (kConstants ? M::kSavedForConstants : 0u);
  NT_SIMD
  for (int64_t j = 0; j < row.n; ++j) {
    const typename M::Constants c = load_constants<M>(row.constants, row.stride, j);
    const typename M::State before = load_state<M, kInitial, kKnown>(c, row.before, j);
    const typename M::State after = load_state<M, false, kKnown>(c, row.after, j);
    typename M::State grad;
    grad.each([&](int k, T& value) { value = row.grad_state[k][j]; });
    grad.each([&](int k, T& value) {
      // In this order a sequence that is cut in two, whose cut adds the recurrent part first, gives the same bits.
      if (k == M::kPresynaptic) value += presynaptic_adjoint<M>(after, row.grad_recurrent[j]);
      if (k == M::kOutput) value += row.grad_out[j];
    });
    T grad_current;
    typename M::Constants grad_constants = {};
    typename M::State grad_before = M::adjoint(c, before, after, grad, grad_current, grad_constants);
    grad_before.each([&](int k, T& value) { row.grad_state[k][j] = value; });
    row.grad_current[j] = grad_current;
    if constexpr (kConstants) {
      grad_constants.each([&](int k, T& value) { row.grad_constants[k * row.stride + j] += value; });
    }
  }
}

template <class M, class T>
void adjoint_row(const AdjointRow<T>& a, bool initial, bool constants) {
  if (initial) {
    constants ? adjoint_row_loop<M, true, true>(a) : adjoint_row_loop<M, true, false>(a);
  } else {
    constants ? adjoint_row_loop<M, false, true>(a) : adjoint_row_loop<M, false, false>(a);
  }
}

template <class M, class T>
void presynaptic_row(int64_t n, const T* constants, const T* const* saved, T* out) {
  if constexpr (M::kPresynaptic >= 0) {
    NT_SIMD
    for (int64_t j = 0; j < n; ++j) {
      typename M::State s = load_state<M, false, M::kSaved>(load_constants<M>(constants, n, j), saved, j);
      if constexpr (ComputesPresynaptic<M>) {
        out[j] = M::presynaptic(s);
      } else {
        s.each([&](int k, T& value) {
          if (k == M::kPresynaptic) out[j] = value;
        });
      }
    }
  } else {
    (void)n, (void)constants, (void)saved, (void)out;
  }
}

template <class M, class T>
void slope_row(int64_t n, const T* constants, int64_t stride, const T* const* saved, T* out) {
  NT_SIMD
  for (int64_t j = 0; j < n; ++j) {
    const typename M::Constants c = load_constants<M>(constants, stride, j);
    out[j] = M::psi(c, load_state<M, false, M::kSaved>(c, saved, j));
  }
}

template <class M, class T>
constexpr auto slope_of() -> decltype(RowKernels<T>::slope) {
  if constexpr (M::kSpiking && M::kCompact) {
    return &slope_row<M, T>;
  } else {
    return nullptr;
  }
}

template <class M, class T>
void add_presynaptic_row(int64_t n, const T* const* state, const T* grad, T* grad_state) {
  NT_SIMD
  for (int64_t j = 0; j < n; ++j) {
    typename M::State s;
    s.each([&](int k, T& value) { value = state[k][j]; });
    grad_state[j] += presynaptic_adjoint<M>(s, grad[j]);
  }
}

// ---- activations ---------------------------------------------------------------------------------------------

template <Activation A, class T>
NT_HD void activate_row_as(int64_t n, const T* v, T* y) {
  NT_SIMD
  for (int64_t j = 0; j < n; ++j) y[j] = activate(A, v[j]);
}

template <class T>
void activate_row(Activation activation, int64_t n, const T* v, T* y) {
  switch (activation) {
    case Activation::identity:
      return activate_row_as<Activation::identity>(n, v, y);
    case Activation::relu:
      return activate_row_as<Activation::relu>(n, v, y);
    case Activation::tanh:
      return activate_row_as<Activation::tanh>(n, v, y);
    case Activation::sigmoid:
      return activate_row_as<Activation::sigmoid>(n, v, y);
  }
}

template <Activation A, class T>
NT_HD void activate_adjoint_row_as(int64_t n, const T* y, const T* grad, T* out) {
  NT_SIMD
  for (int64_t j = 0; j < n; ++j) out[j] = activate_adjoint(A, y[j], grad[j]);
}

template <class T>
void activate_adjoint_row(Activation activation, int64_t n, const T* y, const T* grad, T* out) {
  switch (activation) {
    case Activation::identity:
      return activate_adjoint_row_as<Activation::identity>(n, y, grad, out);
    case Activation::relu:
      return activate_adjoint_row_as<Activation::relu>(n, y, grad, out);
    case Activation::tanh:
      return activate_adjoint_row_as<Activation::tanh>(n, y, grad, out);
    case Activation::sigmoid:
      return activate_adjoint_row_as<Activation::sigmoid>(n, y, grad, out);
  }
}

// ---- the table -----------------------------------------------------------------------------------------------

// Only the adjoint of a spiking model depends on the surrogate; everything else is compiled once.
template <template <class, class> class M, class T, class S>
constexpr RowKernels<T> row_kernels() {
  using Any = M<T, FastSigmoid>;
  if constexpr (Any::kSpiking) {
    return {&step_row<Any, T>, &adjoint_row<M<T, S>, T>, &presynaptic_row<Any, T>, &add_presynaptic_row<Any, T>,
            slope_of<M<T, S>, T>()};
  } else if constexpr (ActivatesInside<Any>) {
    return {&step_row<M<T, S>, T>, &adjoint_row<M<T, S>, T>, &presynaptic_row<M<T, S>, T>,
            &add_presynaptic_row<M<T, S>, T>, nullptr};
  } else {
    return {&step_row<Any, T>, &adjoint_row<Any, T>, &presynaptic_row<Any, T>, &add_presynaptic_row<Any, T>, nullptr};
  }
}

#define NT_COUNT(name, SURROGATE) +1
constexpr int64_t kSurrogates = 0 NT_SURROGATES(NT_COUNT);
#undef NT_COUNT
constexpr int64_t kActivations = 4;

// One entry per surrogate, or per activation where that is inside the model.
template <class T>
struct Variants {
  RowKernels<T> of[kSurrogates > kActivations ? kSurrogates : kActivations];
};

template <template <class, class> class M, class T>
constexpr Variants<T> variants() {
  if constexpr (ActivatesInside<M<T, FastSigmoid>>) {
    return {{row_kernels<M, T, Activate<Activation::identity>>(), row_kernels<M, T, Activate<Activation::relu>>(),
             row_kernels<M, T, Activate<Activation::tanh>>(), row_kernels<M, T, Activate<Activation::sigmoid>>()}};
  } else {
#define NT_ROW(name, SURROGATE) row_kernels<M, T, SURROGATE>(),
    return {{NT_SURROGATES(NT_ROW)}};
#undef NT_ROW
  }
}

template <class T>
const RowKernels<T>& rows_of(int64_t model, int64_t surrogate) {
#define NT_ROWS(name, MODEL) variants<MODEL, T>(),
  static constexpr Variants<T> table[] = {NT_MODELS(NT_ROWS)};
#undef NT_ROWS
  return table[model].of[surrogate];
}

NT_NAMESPACE_END
