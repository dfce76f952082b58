// Leaky integrate-and-fire neuron whose threshold adapts to its spikes (NeuroTorch's ALIFLayer; Bellec et al. 2018,
// arXiv:1803.09574; Gince et al. 2024, doi:10.1101/2024.12.29.630683).
//
//   v_t = (alpha v_{t-1} + c_t) (1 - z_{t-1})      c_t = x_t W + z_{t-1} R
//   a_t = rho a_{t-1} + z_{t-1}
//   z_t = [v_t >= threshold + beta a_t]
//
// The reset uses the spike of the step before and carries no gradient; the recurrent term and the adaptation do.
#pragma once

#include "../surrogate.h"

NT_NAMESPACE_BEGIN

template <class T, class Surrogate>
struct Alif {
  struct State {
    T v, a, z;
    template <class F>
    NT_HD void each(F f) {
      f(0, v);
      f(1, a);
      f(2, z);
    }
  };
  struct Constants {
    T alpha, threshold, gamma, beta, rho;
    template <class F>
    NT_HD void each(F f) {
      f(0, alpha);
      f(1, threshold);
      f(2, gamma);
      f(3, beta);
      f(4, rho);
    }
  };
  static constexpr int kStates = 3, kConstants = 5;
  static constexpr int kOutput = 2, kPresynaptic = 2;
  static constexpr unsigned kSaved = 1u << 0 | 1u << 1;  // v, a
  static constexpr unsigned kSavedForConstants = 0;
  static constexpr unsigned kLearnable = 1u << 0 | 1u << 1 | 1u << 3 | 1u << 4;
  static constexpr bool kSpiking = true, kCompact = Surrogate::kCompact;

  static NT_HD T firing_threshold(const Constants& c, T a) { return NT_FMA(c.beta, a, c.threshold); }

  static NT_HD State step(const Constants& c, const State& before, T current, T recurrent) {
    const T u = NT_FMA(c.alpha, before.v, current) + recurrent;
    const T v = u * (T(1) - before.z);
    const T a = NT_FMA(c.rho, before.a, before.z);
    return {v, a, v >= firing_threshold(c, a) ? T(1) : T(0)};
  }

  static NT_HD void restore(const Constants& c, State& s) { s.z = s.v >= firing_threshold(c, s.a) ? T(1) : T(0); }

  // The surrogate derivative at a state, the only way by which a gradient of z gets anywhere.
  static NT_HD T psi(const Constants& c, const State& s) {
    return Surrogate::psi(s.v, firing_threshold(c, s.a), c.gamma);
  }

  static NT_HD State adjoint(const Constants& c, const State& before, const State& after, const State& grad,
                             T& grad_current, Constants& grad_constants) {
    const T grad_spike = psi(c, after) * grad.z;
    const T grad_a = NT_FMA(-c.beta, grad_spike, grad.a);
    grad_current = (grad.v + grad_spike) * (T(1) - before.z);
    grad_constants.alpha = grad_current * before.v;
    grad_constants.threshold = -grad_spike;
    grad_constants.beta = -(grad_spike * after.a);
    grad_constants.rho = grad_a * before.a;
    return {c.alpha * grad_current, c.rho * grad_a, grad_a};
  }
};

NT_NAMESPACE_END
