// Leaky integrate-and-fire neuron with subtractive reset (NeuroTorch's BellecLIFLayer; Bellec et al. 2020,
// doi:10.1038/s41467-020-17236-y, equation 6).
//
//   v_t = alpha v_{t-1} + c_t - z_{t-1} threshold      c_t = x_t W + z_{t-1} R
//   z_t = [v_t >= threshold]
//
// The reset uses the spike of the step before and carries no gradient of it; the recurrent term does.
#pragma once

#include "../surrogate.h"

NT_NAMESPACE_BEGIN

template <class T, class Surrogate>
struct BellecLif {
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
  static constexpr int kOutput = 1, kPresynaptic = 1;
  static constexpr unsigned kSaved = 1u << 0;  // v
  static constexpr unsigned kSavedForConstants = 0;
  static constexpr unsigned kLearnable = 1u << 0 | 1u << 1;
  static constexpr bool kSpiking = true, kCompact = Surrogate::kCompact;

  static NT_HD State step(const Constants& c, const State& before, T current, T recurrent) {
    const T u = NT_FMA(c.alpha, before.v, current) + recurrent;
    const T v = NT_FMA(-before.z, c.threshold, u);
    return {v, v >= c.threshold ? T(1) : T(0)};
  }

  static NT_HD void restore(const Constants& c, State& s) { s.z = s.v >= c.threshold ? T(1) : T(0); }

  // The surrogate derivative at a state, the only way by which a gradient of z gets anywhere.
  static NT_HD T psi(const Constants& c, const State& s) { return Surrogate::psi(s.v, c.threshold, c.gamma); }

  static NT_HD State adjoint(const Constants& c, const State& before, const State& after, const State& grad,
                             T& grad_current, Constants& grad_constants) {
    const T grad_spike = psi(c, after) * grad.z;
    grad_current = grad.v + grad_spike;
    grad_constants.alpha = grad_current * before.v;
    grad_constants.threshold = -NT_FMA(before.z, grad_current, grad_spike);
    return {c.alpha * grad_current, T(0)};
  }
};

NT_NAMESPACE_END
