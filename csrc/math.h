// exp, sigmoid and tanh without branches or library calls, so that loops over neurons vectorise.
#pragma once

#include "common.h"

NT_NAMESPACE_BEGIN

NT_HD float nt_abs(float x) { return __builtin_fabsf(x); }
NT_HD double nt_abs(double x) { return __builtin_fabs(x); }

// exp(x) = 2^n exp(r), |r| <= ln(2) / 2, Taylor polynomial of exp(r); relative error below 2e-7 and 4e-16. Inputs
// are clamped to the range of normal results. Rounding by adding 1.5 * 2^mantissa works in every instruction set.
NT_HD float nt_exp(float x) {
  x = x < -87.0f ? -87.0f : (x > 88.0f ? 88.0f : x);
  const float shifted = NT_FMA(x, 1.44269504f, 12582912.0f);
  const float n = shifted - 12582912.0f;
  const float r = NT_FMA(n, 1.90465421e-9f, NT_FMA(n, -0.693147182f, x));
  float p = 1.0f / 5040.0f;
  p = NT_FMA(p, r, 1.0f / 720.0f);
  p = NT_FMA(p, r, 1.0f / 120.0f);
  p = NT_FMA(p, r, 1.0f / 24.0f);
  p = NT_FMA(p, r, 1.0f / 6.0f);
  p = NT_FMA(p, r, 0.5f);
  p = NT_FMA(p, r, 1.0f);
  p = NT_FMA(p, r, 1.0f);
  union {
    float value;
    int32_t bits;
  } scale;
  scale.bits = (static_cast<int32_t>(n) + 127) << 23;
  return p * scale.value;
}

NT_HD double nt_exp(double x) {
  x = x < -708.0 ? -708.0 : (x > 709.0 ? 709.0 : x);
  union {
    double value;
    int64_t bits;
  } shifted, scale;
  shifted.value = NT_FMA(x, 1.4426950408889634074, 6755399441055744.0);
  const double n = shifted.value - 6755399441055744.0;
  const double r = NT_FMA(n, -1.9082149292705877e-10, NT_FMA(n, -0.69314718036912382, x));
  double p = 1.0 / 6227020800.0;
  p = NT_FMA(p, r, 1.0 / 479001600.0);
  p = NT_FMA(p, r, 1.0 / 39916800.0);
  p = NT_FMA(p, r, 1.0 / 3628800.0);
  p = NT_FMA(p, r, 1.0 / 362880.0);
  p = NT_FMA(p, r, 1.0 / 40320.0);
  p = NT_FMA(p, r, 1.0 / 5040.0);
  p = NT_FMA(p, r, 1.0 / 720.0);
  p = NT_FMA(p, r, 1.0 / 120.0);
  p = NT_FMA(p, r, 1.0 / 24.0);
  p = NT_FMA(p, r, 1.0 / 6.0);
  p = NT_FMA(p, r, 0.5);
  p = NT_FMA(p, r, 1.0);
  p = NT_FMA(p, r, 1.0);
  scale.bits = (shifted.bits + 1023) << 52;  // the low bits of the shifted sum hold n
  return p * scale.value;
}

template <class T>
NT_HD T nt_sigmoid(T x) {
  return T(1) / (T(1) + nt_exp(-x));
}

template <class T>
NT_HD T nt_tanh(T x) {
  const T e = nt_exp(T(-2) * nt_abs(x));
  const T y = (T(1) - e) / (T(1) + e);
  return x < T(0) ? -y : y;
}

NT_NAMESPACE_END
