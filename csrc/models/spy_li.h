// Leaky integrator readout with an exponential synaptic current (NeuroTorch's SpyLILayer):
//
//   i_t = alpha i_{t-1} + x_t W
//   v_t = beta v_{t-1} + i_t + bias
#pragma once

#include "../common.h"

NT_NAMESPACE_BEGIN

template <class T, class>
struct SpyLi {
  struct State {
    T v, i;
    template <class F>
    NT_HD void each(F f) {
      f(0, v);
      f(1, i);
    }
  };
  struct Constants {
    T alpha, beta, bias;
    template <class F>
    NT_HD void each(F f) {
      f(0, alpha);
      f(1, beta);
      f(2, bias);
    }
  };
  static constexpr int kStates = 2, kConstants = 3;
  static constexpr int kOutput = 0, kPresynaptic = -1;
  static constexpr unsigned kSaved = 0, kSavedForConstants = 1u << 0 | 1u << 1;
  static constexpr unsigned kLearnable = 1u << 0 | 1u << 1 | 1u << 2;
  static constexpr bool kSpiking = false, kCompact = false;

  static NT_HD State step(const Constants& c, const State& before, T current, T) {
    const T i = NT_FMA(c.alpha, before.i, current);
    return {NT_FMA(c.beta, before.v, i) + c.bias, i};
  }

  static NT_HD void restore(const Constants&, State&) {}

  static NT_HD State adjoint(const Constants& c, const State& before, const State&, const State& grad, T& grad_current,
                             Constants& grad_constants) {
    grad_current = grad.i + grad.v;
    grad_constants.alpha = grad_current * before.i;
    grad_constants.beta = grad.v * before.v;
    grad_constants.bias = grad.v;
    return {c.beta * grad.v, c.alpha * grad_current};
  }
};

NT_NAMESPACE_END
