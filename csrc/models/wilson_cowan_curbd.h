// Rate neuron of current-based decomposition, CURBD (Perich et al. 2020, doi:10.1101/2020.12.18.423348), by Euler steps
// of length dt (NeuroTorch's WilsonCowanCURBDLayer):
//
//   s_t = f(h_{t-1})
//   h_t = h_{t-1} + q (d_t - h_{t-1})              d_t = x_t W + s_t R,  q = dt / tau
//
// The output is s: it lags by a step behind h and never sees the last input. The recurrent weights see f(h) of the step
// before. Callers see neither s nor d among the states.
#pragma once

#include "../activation.h"

NT_NAMESPACE_BEGIN

template <class T, class F>
struct WilsonCowanCurbd {
  struct State {
    T h, s, d;
    template <class G>
    NT_HD void each(G g) {
      g(0, h);
      g(1, s);
      g(2, d);
    }
  };
  struct Constants {
    T q;
    template <class G>
    NT_HD void each(G g) {
      g(0, q);
    }
  };
  static constexpr int kStates = 3, kConstants = 1;
  static constexpr int kOutput = 1, kPresynaptic = 0;
  static constexpr unsigned kSaved = 1u << 0 | 1u << 1, kSavedForConstants = 1u << 2;
  static constexpr unsigned kLearnable = 1u << 0;
  static constexpr bool kSpiking = false, kCompact = false;
  static constexpr bool kActivatesInside = true;

  static NT_HD State step(const Constants& c, const State& before, T current, T recurrent) {
    const T drive = current + recurrent;
    return {NT_FMA(c.q, drive - before.h, before.h), F::value(before.h), drive};
  }

  static NT_HD void restore(const Constants&, State&) {}

  // What the recurrent weights see of a state, and dL/d(presynaptic state) from dL/d(what they see).
  static NT_HD T presynaptic(const State& s) { return F::value(s.h); }
  static NT_HD T presynaptic_adjoint(const State& s, T grad) { return F::adjoint(F::value(s.h), grad); }

  static NT_HD State adjoint(const Constants& c, const State& before, const State& after, const State& grad,
                             T& grad_current, Constants& grad_constants) {
    grad_current = NT_FMA(c.q, grad.h, grad.d);
    grad_constants.q = grad.h * (after.d - before.h);
    return {NT_FMA(T(1) - c.q, grad.h, F::adjoint(after.s, grad.s)), T(0), T(0)};
  }
};

NT_NAMESPACE_END
