// Leaky integrator readout (NeuroTorch's LILayer):  v_t = kappa v_{t-1} + x_t W + bias
#pragma once

#include "../common.h"

NT_NAMESPACE_BEGIN

template <class T, class>
struct Li {
  struct State {
    T v;
    template <class F>
    NT_HD void each(F f) {
      f(0, v);
    }
  };
  struct Constants {
    T kappa, bias;
    template <class F>
    NT_HD void each(F f) {
      f(0, kappa);
      f(1, bias);
    }
  };
  static constexpr int kStates = 1, kConstants = 2;
  static constexpr int kOutput = 0, kPresynaptic = -1;
  static constexpr unsigned kSaved = 0, kSavedForConstants = 1u << 0;
  static constexpr unsigned kLearnable = 1u << 0 | 1u << 1;
  static constexpr bool kSpiking = false, kCompact = false;

  static NT_HD State step(const Constants& c, const State& before, T current, T) {
    return {NT_FMA(c.kappa, before.v, current) + c.bias};
  }

  static NT_HD void restore(const Constants&, State&) {}

  static NT_HD State adjoint(const Constants& c, const State& before, const State&, const State& grad, T& grad_current,
                             Constants& grad_constants) {
    grad_current = grad.v;
    grad_constants.kappa = grad.v * before.v;
    grad_constants.bias = grad.v;
    return {c.kappa * grad.v};
  }
};

NT_NAMESPACE_END
