// Leaky integrate-and-fire neuron with an exponential synaptic current (SpyTorch's equations as in NeuroTorch's
// SpyLIFLayer; Neftci, Mostafa & Zenke 2019, doi:10.1109/MSP.2019.2931595).
//
//   i_t = alpha i_{t-1} + c_t                      c_t = x_t W + z_{t-1} R
//   v_t = (beta v_{t-1} + i_t) (1 - z_{t-1})
//   z_t = [v_t >= threshold]
//
// The reset uses the spike of the step before, carries no gradient and leaves the synaptic current alone.
#pragma once

#include "../surrogate.h"

NT_NAMESPACE_BEGIN

template <class T, class Surrogate>
struct SpyLif {
  struct State {
    T v, i, z;
    template <class F>
    NT_HD void each(F f) {
      f(0, v);
      f(1, i);
      f(2, z);
    }
  };
  struct Constants {
    T alpha, beta, threshold, gamma;
    template <class F>
    NT_HD void each(F f) {
      f(0, alpha);
      f(1, beta);
      f(2, threshold);
      f(3, gamma);
    }
  };
  static constexpr int kStates = 3, kConstants = 4;
  static constexpr int kOutput = 2, kPresynaptic = 2;
  static constexpr unsigned kSaved = 1u << 0;              // v
  static constexpr unsigned kSavedForConstants = 1u << 1;  // i
  static constexpr unsigned kLearnable = 1u << 0 | 1u << 1 | 1u << 2;
  static constexpr bool kSpiking = true, kCompact = Surrogate::kCompact;

  static NT_HD State step(const Constants& c, const State& before, T current, T recurrent) {
    const T i = NT_FMA(c.alpha, before.i, current) + recurrent;
    const T v = NT_FMA(c.beta, before.v, i) * (T(1) - before.z);
    return {v, i, v >= c.threshold ? T(1) : T(0)};
  }

  static NT_HD void restore(const Constants& c, State& s) { s.z = s.v >= c.threshold ? T(1) : T(0); }

  // The surrogate derivative at a state, the only way by which a gradient of z gets anywhere.
  static NT_HD T psi(const Constants& c, const State& s) { return Surrogate::psi(s.v, c.threshold, c.gamma); }

  static NT_HD State adjoint(const Constants& c, const State& before, const State& after, const State& grad,
                             T& grad_current, Constants& grad_constants) {
    const T slope = psi(c, after);
    const T grad_u = NT_FMA(slope, grad.z, grad.v) * (T(1) - before.z);
    grad_current = grad.i + grad_u;
    grad_constants.alpha = grad_current * before.i;
    grad_constants.beta = grad_u * before.v;
    grad_constants.threshold = -(slope * grad.z);
    return {c.beta * grad_u, c.alpha * grad_current, T(0)};
  }
};

NT_NAMESPACE_END
