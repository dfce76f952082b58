// A spiking neuron whose output is the low-pass filtered spike train (NeuroTorch's *LayerLPF):
//
//   phi_t = lpf_alpha phi_{t-1} + z_t
//
// The state phi stands before the spikes z, which are the last state of every spiking model.
#pragma once

#include "../common.h"

NT_NAMESPACE_BEGIN

template <class T, class Base>
struct LowPass {
  struct State {
    typename Base::State base;
    T phi;
    template <class F>
    NT_HD void each(F f) {
      base.each([&](int k, T& value) { f(k == Base::kPresynaptic ? k + 1 : k, value); });
      f(Base::kPresynaptic, phi);
    }
  };
  struct Constants {
    typename Base::Constants base;
    T lpf_alpha;
    template <class F>
    NT_HD void each(F f) {
      base.each(f);
      f(Base::kConstants, lpf_alpha);
    }
  };
  static constexpr int kStates = Base::kStates + 1, kConstants = Base::kConstants + 1;
  static constexpr int kOutput = Base::kPresynaptic, kPresynaptic = Base::kPresynaptic + 1;
  static constexpr unsigned kSaved = Base::kSaved;
  static constexpr unsigned kSavedForConstants = Base::kSavedForConstants | 1u << kOutput;
  static constexpr unsigned kLearnable = Base::kLearnable | 1u << Base::kConstants;
  static constexpr bool kSpiking = true, kCompact = Base::kCompact;

  static NT_HD State step(const Constants& c, const State& before, T current, T recurrent) {
    const typename Base::State s = Base::step(c.base, before.base, current, recurrent);
    return {s, NT_FMA(c.lpf_alpha, before.phi, s.z)};
  }

  static NT_HD void restore(const Constants& c, State& s) { Base::restore(c.base, s.base); }

  static NT_HD T psi(const Constants& c, const State& s) { return Base::psi(c.base, s.base); }

  static NT_HD State adjoint(const Constants& c, const State& before, const State& after, const State& grad,
                             T& grad_current, Constants& grad_constants) {
    typename Base::State grad_base = grad.base;
    grad_base.z += grad.phi;
    grad_constants.lpf_alpha = grad.phi * before.phi;
    return {Base::adjoint(c.base, before.base, after.base, grad_base, grad_current, grad_constants.base),
            c.lpf_alpha * grad.phi};
  }
};

NT_NAMESPACE_END
