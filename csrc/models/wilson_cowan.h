// Rate neuron of Wilson & Cowan (1972), doi:10.1016/S0006-3495(72)86068-5, by Euler steps of length dt (NeuroTorch's
// WilsonCowanLayer; Gince et al. 2024, doi:10.1101/2024.12.29.630683).
//
//   s_t = f(c_t - mu)                              c_t = x_t W + h_{t-1} R
//   h_t = (1 - q) h_{t-1} + q (1 - r h_{t-1}) s_t  q = dt / tau
//
// r is the refractory part: the share of a population that is active cannot be excited again. s is a state for the
// adjoint's sake only: nothing is carried in it and callers do not see it.
#pragma once

#include "../activation.h"

NT_NAMESPACE_BEGIN

template <class T, class F>
struct WilsonCowan {
  struct State {
    T h, s;
    template <class G>
    NT_HD void each(G g) {
      g(0, h);
      g(1, s);
    }
  };
  struct Constants {
    T q, r, mu;
    template <class G>
    NT_HD void each(G g) {
      g(0, q);
      g(1, r);
      g(2, mu);
    }
  };
  static constexpr int kStates = 2, kConstants = 3;
  static constexpr int kOutput = 0, kPresynaptic = 0;
  static constexpr unsigned kSaved = 1u << 0 | 1u << 1, kSavedForConstants = 0;
  static constexpr unsigned kLearnable = 1u << 0 | 1u << 1 | 1u << 2;
  static constexpr bool kSpiking = false, kCompact = false;
  static constexpr bool kActivatesInside = true;  // the second template argument is f

  static NT_HD State step(const Constants& c, const State& before, T current, T recurrent) {
    const T s = F::value(recurrent + current - c.mu);
    const T excitable = NT_FMA(-c.r, before.h, T(1));
    return {NT_FMA(excitable * s, c.q, (T(1) - c.q) * before.h), s};
  }

  static NT_HD void restore(const Constants&, State&) {}

  static NT_HD State adjoint(const Constants& c, const State& before, const State& after, const State& grad,
                             T& grad_current, Constants& grad_constants) {
    const T excitable = NT_FMA(-c.r, before.h, T(1)), grad_q = grad.h * c.q;
    grad_current = F::adjoint(after.s, NT_FMA(grad_q, excitable, grad.s));
    grad_constants.q = grad.h * NT_FMA(excitable, after.s, -before.h);
    grad_constants.r = -(grad_q * before.h * after.s);
    grad_constants.mu = -grad_current;
    return {grad.h - grad_q * NT_FMA(c.r, after.s, T(1)), T(0)};
  }
};

NT_NAMESPACE_END
