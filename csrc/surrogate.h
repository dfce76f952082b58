// Surrogate derivatives psi of the spike z = [v >= threshold], one small struct each.
#pragma once

#include "math.h"

NT_NAMESPACE_BEGIN

// psi = 1 / (gamma |v - threshold| + 1)^2: peak 1, narrower for larger gamma, support everywhere.
// Zenke & Ganguli (2018), SuperSpike, section 3.3.2 (without their factor gamma).
struct FastSigmoid {
  static constexpr bool kCompact = false;
  template <class T>
  static NT_HD T psi(T v, T threshold, T gamma) {
    const T q = NT_FMA(gamma, nt_abs(v - threshold), T(1));
    return T(1) / (q * q);
  }
};

// psi = gamma / a * max(0, 1 - |v - threshold| / a), a = threshold + 1e-5: peak gamma / a, exactly zero outside
// 0 < v < 2 threshold. Bellec et al. (2020), equation 5 (there a is the constant base threshold).
struct Phi {
  static constexpr bool kCompact = true;
  template <class T>
  static NT_HD T psi(T v, T threshold, T gamma) {
    const T a = threshold + T(1e-5);
    const T distance = nt_abs((v - threshold) / a);
    const T height = T(1) - distance;
    return gamma / a * (height > T(0) ? height : T(0));
  }
};

NT_NAMESPACE_END
