// Affine map without memory (NeuroTorch's Linear):  y_t = x_t W + bias. Its one "state" is the output before the
// activation; nothing is carried from step to step and the layer shows no state to the caller.
#pragma once

#include "../common.h"

NT_NAMESPACE_BEGIN

template <class T, class>
struct Linear {
  struct State {
    T y;
    template <class F>
    NT_HD void each(F f) {
      f(0, y);
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
  static constexpr int kOutput = 0, kPresynaptic = -1;
  static constexpr unsigned kSaved = 0, kSavedForConstants = 0;
  static constexpr unsigned kLearnable = 1u << 0;
  static constexpr bool kSpiking = false, kCompact = false;

  static NT_HD State step(const Constants& c, const State&, T current, T) { return {current + c.bias}; }

  static NT_HD void restore(const Constants&, State&) {}

  static NT_HD State adjoint(const Constants&, const State&, const State&, const State& grad, T& grad_current,
                             Constants& grad_constants) {
    grad_current = grad.y;
    grad_constants.bias = grad.y;
    return {T(0)};
  }
};

NT_NAMESPACE_END
