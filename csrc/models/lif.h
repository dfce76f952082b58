// Leaky integrate-and-fire neuron with multiplicative reset (NeuroTorch's LIFLayer; Gince et al. 2024,
// doi:10.1101/2024.12.29.630683).
//
//   v_t = (alpha v_{t-1} + c_t) (1 - z_{t-1})      c_t = x_t W + z_{t-1} R
//   z_t = [v_t >= threshold]
//
// The reset uses the spike of the step before and carries no gradient; the recurrent term does.
#pragma once

#include "../surrogate.h"

NT_NAMESPACE_BEGIN

template <class T, class Surrogate>
struct Lif {
  struct State {
    T v, z;
    template <class F>
    NT_HD void each(F f) {
      f(0, v);
      f(1, z);
    }
  };
  struct Constants {
    T alpha, threshold, gamma;
    template <class F>
    NT_HD void each(F f) {
      f(0, alpha);
      f(1, threshold);
      f(2, gamma);
    }
  };
  static constexpr int kStates = 2, kConstants = 3;
  static constexpr int kOutput = 1;                          // the state that is the layer's output
  static constexpr int kPresynaptic = 1;                     // the state that the recurrent weights see
  static constexpr unsigned kSaved = 1u << 0;                // traces that the adjoint needs: v
  static constexpr unsigned kSavedForConstants = 0;          // further ones for the gradients of the constants
  static constexpr unsigned kLearnable = 1u << 0 | 1u << 1;  // constants that have a gradient
  static constexpr bool kSpiking = true, kCompact = Surrogate::kCompact;

  static NT_HD State step(const Constants& c, const State& before, T current, T recurrent) {
    const T u = NT_FMA(c.alpha, before.v, current) + recurrent;
    const T v = u * (T(1) - before.z);
    return {v, v >= c.threshold ? T(1) : T(0)};
  }

  // Completes a state of which only the saved traces are known.
  static NT_HD void restore(const Constants& c, State& s) { s.z = s.v >= c.threshold ? T(1) : T(0); }

  // The surrogate derivative at a state, the only way by which a gradient of z gets anywhere.
  static NT_HD T psi(const Constants& c, const State& s) { return Surrogate::psi(s.v, c.threshold, c.gamma); }

  // `grad` holds dL/d(state after the step) including everything that happens later; returns dL/d(state before it)
  // without the recurrent path, which the driver adds to the presynaptic state.
  static NT_HD State adjoint(const Constants& c, const State& before, const State& after, const State& grad,
                             T& grad_current, Constants& grad_constants) {
    const T slope = psi(c, after);
    const T grad_v = NT_FMA(slope, grad.z, grad.v);
    grad_current = grad_v * (T(1) - before.z);
    grad_constants.alpha = grad_current * before.v;
    grad_constants.threshold = -(slope * grad.z);
    return {c.alpha * grad_current, T(0)};
  }
};

NT_NAMESPACE_END
