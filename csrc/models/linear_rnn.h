// Affine map with recurrence (NeuroTorch's LinearRNN):  v_t = x_t W + v_{t-1} R + bias. The recurrent weights see the
// state before the output activation, so the dynamics are linear whatever that is.
#pragma once

#include "../common.h"

NT_NAMESPACE_BEGIN

template <class T, class>
struct LinearRnn {
  struct State {
    T v;
    template <class F>
    NT_HD void each(F f) {
      f(0, v);
    }
  };
  struct Constants {
    T bias;
    template <class F>
    NT_HD void each(F f) {
      f(0, bias);
    }
  };
  static constexpr int kStates = 1, kConstants = 1;
  static constexpr int kOutput = 0, kPresynaptic = 0;
  static constexpr unsigned kSaved = 1u << 0, kSavedForConstants = 0;
  static constexpr unsigned kLearnable = 1u << 0;
  static constexpr bool kSpiking = false, kCompact = false;

  static NT_HD State step(const Constants& c, const State&, T current, T recurrent) {
    return {current + recurrent + c.bias};
  }

  static NT_HD void restore(const Constants&, State&) {}

  static NT_HD State adjoint(const Constants&, const State&, const State&, const State& grad, T& grad_current,
                             Constants& grad_constants) {
    grad_current = grad.v;
    grad_constants.bias = grad.v;
    return {T(0)};
  }
};

NT_NAMESPACE_END
