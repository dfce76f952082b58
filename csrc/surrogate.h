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

// The following ones are even functions of the distance x = v - threshold whose peak is gamma; a larger gamma is also
// narrower. Apart from SuperSpike, whose integral is 2, their integral is 1: that of the derivative of a step.
// (gamma times a reciprocal, not a quotient, which on CUDA would spill registers in float64.)

// psi = gamma [gamma |x| < 1 / 2]: the rectangle of width 1 / gamma. Wu, Deng, Li, Zhu & Shi (2018),
// doi:10.3389/fnins.2018.00331, h_1 with a_1 = 1 / gamma.
struct Boxcar {
  static constexpr bool kCompact = true;
  template <class T>
  static NT_HD T psi(T v, T threshold, T gamma) {
    return gamma * nt_abs(v - threshold) < T(0.5) ? gamma : T(0);
  }
};

// psi = gamma max(0, 1 - gamma |x|): exactly zero from |x| = 1 / gamma on. Esser et al. (2016),
// doi:10.1073/pnas.1604850113, with gamma = 1. Unlike Phi its width does not follow the threshold.
struct Triangle {
  static constexpr bool kCompact = true;
  template <class T>
  static NT_HD T psi(T v, T threshold, T gamma) {
    const T height = NT_FMA(-gamma, nt_abs(v - threshold), T(1));
    return gamma * (height > T(0) ? height : T(0));
  }
};

// psi = gamma / (1 + (pi gamma x)^2): the derivative of arctan(pi gamma x) / pi. Fang et al. (2021),
// doi:10.1109/ICCV48922.2021.00266, with gamma = 1.
struct ArcTan {
  static constexpr bool kCompact = false;
  template <class T>
  static NT_HD T psi(T v, T threshold, T gamma) {
    const T q = T(3.14159265358979323846) * gamma * (v - threshold);
    return gamma * (T(1) / NT_FMA(q, q, T(1)));
  }
};

// psi = gamma / (gamma |x| + 1)^2: the derivative of the fast sigmoid gamma x / (1 + gamma |x|) itself, whereas
// FastSigmoid above leaves out the factor gamma. Zenke & Ganguli (2018), doi:10.1162/neco_a_01086.
struct SuperSpike {
  static constexpr bool kCompact = false;
  template <class T>
  static NT_HD T psi(T v, T threshold, T gamma) {
    const T q = NT_FMA(gamma, nt_abs(v - threshold), T(1));
    return gamma * (T(1) / (q * q));
  }
};

// psi = gamma exp(-pi (gamma x)^2): the normal density with standard deviation 1 / (sqrt(2 pi) gamma). Yin, Corradi &
// Bohte (2021), doi:10.1038/s42256-021-00397-w, their single Gaussian.
struct Gaussian {
  static constexpr bool kCompact = false;
  template <class T>
  static NT_HD T psi(T v, T threshold, T gamma) {
    const T q = gamma * (v - threshold);
    return gamma * nt_exp(T(-3.14159265358979323846) * (q * q));
  }
};

NT_NAMESPACE_END
