// Izhikevich's two-variable neuron in its form with physical quantities (Izhikevich 2007, Dynamical Systems in
// Neuroscience, MIT Press, chapter 8; the dimensionless form is that of Izhikevich 2003,
// doi:10.1109/TNN.2003.820440), by forward Euler steps of length dt.
//
//   v_t = (v_{t-1} + dt / C (k (v_{t-1} - v_rest) (v_{t-1} - v_th) - u_{t-1} + c_t)) (1 - z_{t-1}) + c z_{t-1}
//   u_t = u_{t-1} + dt a (b (v_{t-1} - v_rest) - u_{t-1}) + d z_{t-1}
//   z_t = [v_t >= v_peak]                           c_t = x_t W + z_{t-1} R
//
// A spike resets at the next step, as in the other models, so v shows the peak for one step. The resets carry no
// gradient of the spike; the recurrent term does. The constants set the units: milliseconds with the published ones.
#pragma once

#include "../surrogate.h"

NT_NAMESPACE_BEGIN

template <class T, class Surrogate>
struct Izhikevich {
  struct State {
    T v, u, z;
    template <class F>
    NT_HD void each(F f) {
      f(0, v);
      f(1, u);
      f(2, z);
    }
  };
  struct Constants {
    T C, v_rest, v_th, k, a, b, c, d, v_peak, gamma, dt;
    template <class F>
    NT_HD void each(F f) {
      f(0, C);
      f(1, v_rest);
      f(2, v_th);
      f(3, k);
      f(4, a);
      f(5, b);
      f(6, c);
      f(7, d);
      f(8, v_peak);
      f(9, gamma);
      f(10, dt);
    }
  };
  static constexpr int kStates = 3, kConstants = 11;
  static constexpr int kOutput = 2, kPresynaptic = 2;
  static constexpr unsigned kSaved = 1u << 0;              // v
  static constexpr unsigned kSavedForConstants = 1u << 1;  // u
  static constexpr unsigned kLearnable = (1u << 9) - 1;    // all but gamma and dt
  static constexpr bool kSpiking = true, kCompact = Surrogate::kCompact;

  static NT_HD State step(const Constants& c, const State& before, T current, T recurrent) {
    const T above_rest = before.v - c.v_rest, above_threshold = before.v - c.v_th;
    const T drive = NT_FMA(c.k * above_rest, above_threshold, current - before.u) + recurrent;
    const T moved = NT_FMA(c.dt / c.C, drive, before.v);
    const T v = NT_FMA(c.c, before.z, moved * (T(1) - before.z));
    const T recovered = NT_FMA(c.dt * c.a, NT_FMA(c.b, above_rest, -before.u), before.u);
    return {v, NT_FMA(c.d, before.z, recovered), v >= c.v_peak ? T(1) : T(0)};
  }

  static NT_HD void restore(const Constants& c, State& s) { s.z = s.v >= c.v_peak ? T(1) : T(0); }

  // The surrogate derivative at a state, the only way by which a gradient of z gets anywhere.
  static NT_HD T psi(const Constants& c, const State& s) { return Surrogate::psi(s.v, c.v_peak, c.gamma); }

  static NT_HD State adjoint(const Constants& c, const State& before, const State& after, const State& grad,
                             T& grad_current, Constants& grad_constants) {
    const T above_rest = before.v - c.v_rest, above_threshold = before.v - c.v_th;
    const T rate = c.dt / c.C, recovery = c.dt * c.a;
    const T grad_spike = psi(c, after) * grad.z;
    const T grad_v = grad.v + grad_spike, keep = T(1) - before.z;
    const T grad_moved = grad_v * keep;
    grad_current = rate * grad_moved;
    // dt / C times the drive is what the step added to v; grad_v times it needs no division by `keep`.
    const T added = NT_FMA(-keep, before.v, NT_FMA(-c.c, before.z, after.v));
    grad_constants.C = -(grad_v * added / c.C);
    grad_constants.v_rest = -NT_FMA(c.k * above_threshold, grad_current, recovery * c.b * grad.u);
    grad_constants.v_th = -(c.k * above_rest * grad_current);
    grad_constants.k = above_rest * above_threshold * grad_current;
    grad_constants.a = c.dt * NT_FMA(c.b, above_rest, -before.u) * grad.u;
    grad_constants.b = recovery * above_rest * grad.u;
    grad_constants.c = grad_v * before.z;
    grad_constants.d = grad.u * before.z;
    grad_constants.v_peak = -grad_spike;
    const T slope = c.k * (above_rest + above_threshold);
    return {NT_FMA(slope, grad_current, NT_FMA(recovery * c.b, grad.u, grad_moved)),
            NT_FMA(-recovery, grad.u, grad.u) - grad_current, T(0)};
  }
};

NT_NAMESPACE_END
