// Leaky integrate-and-fire neuron with an exponential synaptic current and an adaptive threshold (NeuroTorch's
// SpyALIFLayer; Gince et al. 2024, doi:10.1101/2024.12.29.630683; the adaptation is that of Bellec et al. 2018,
// arXiv:1803.09574).
//
//   i_t = alpha i_{t-1} + c_t                      c_t = x_t W + z_{t-1} R
//   v_t = (beta v_{t-1} + i_t) (1 - z_{t-1})
//   a_t = rho a_{t-1} + z_{t-1}
//   z_t = [v_t >= threshold + kappa a_t]
//
// The reset uses the spike of the step before, carries no gradient and leaves the synaptic current alone; the recurrent
// term and the adaptation carry one.
#pragma once

#include "../surrogate.h"

NT_NAMESPACE_BEGIN

template <class T, class Surrogate>
struct SpyAlif {
  struct State {
    T v, i, a, z;
    template <class F>
    NT_HD void each(F f) {
      f(0, v);
      f(1, i);
      f(2, a);
      f(3, z);
    }
  };
  struct Constants {
    T alpha, beta, threshold, gamma, kappa, rho;
    template <class F>
    NT_HD void each(F f) {
      f(0, alpha);
      f(1, beta);
      f(2, threshold);
      f(3, gamma);
      f(4, kappa);
      f(5, rho);
    }
  };
  static constexpr int kStates = 4, kConstants = 6;
  static constexpr int kOutput = 3, kPresynaptic = 3;
  static constexpr unsigned kSaved = 1u << 0 | 1u << 2;    // v, a
  static constexpr unsigned kSavedForConstants = 1u << 1;  // i
  static constexpr unsigned kLearnable = 1u << 0 | 1u << 1 | 1u << 2 | 1u << 4 | 1u << 5;
  static constexpr bool kSpiking = true, kCompact = Surrogate::kCompact;

  static NT_HD T firing_threshold(const Constants& c, T a) { return NT_FMA(c.kappa, a, c.threshold); }

  static NT_HD State step(const Constants& c, const State& before, T current, T recurrent) {
    const T i = NT_FMA(c.alpha, before.i, current) + recurrent;
    const T v = NT_FMA(c.beta, before.v, i) * (T(1) - before.z);
    const T a = NT_FMA(c.rho, before.a, before.z);
    return {v, i, a, v >= firing_threshold(c, a) ? T(1) : T(0)};
  }

  static NT_HD void restore(const Constants& c, State& s) { s.z = s.v >= firing_threshold(c, s.a) ? T(1) : T(0); }

  // The surrogate derivative at a state, the only way by which a gradient of z gets anywhere.
  static NT_HD T psi(const Constants& c, const State& s) {
    return Surrogate::psi(s.v, firing_threshold(c, s.a), c.gamma);
  }

  static NT_HD State adjoint(const Constants& c, const State& before, const State& after, const State& grad,
                             T& grad_current, Constants& grad_constants) {
    const T grad_spike = psi(c, after) * grad.z;
    const T grad_a = NT_FMA(-c.kappa, grad_spike, grad.a);
    const T grad_u = (grad.v + grad_spike) * (T(1) - before.z);
    grad_current = grad.i + grad_u;
    grad_constants.alpha = grad_current * before.i;
    grad_constants.beta = grad_u * before.v;
    grad_constants.threshold = -grad_spike;
    grad_constants.kappa = -(grad_spike * after.a);
    grad_constants.rho = grad_a * before.a;
    return {c.beta * grad_u, c.alpha * grad_current, c.rho * grad_a, grad_a};
  }
};

NT_NAMESPACE_END
