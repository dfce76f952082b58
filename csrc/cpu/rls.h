// Recursive least squares: gain, weights and inverse correlation in two passes over the latter.
#pragma once

#include "rls_arguments.h"
#include "simd.h"

NT_NAMESPACE_BEGIN

template <class T>
void rls_update(const RlsUpdate<T>& a) {
  const FlushDenormals flush;
  const int64_t n = a.inputs;
  T* k = a.direction;
  __builtin_memset(k, 0, static_cast<size_t>(n) * sizeof(T));
  // P is symmetric, so its columns may be added up row by row.
  for (int64_t i = 0; i < n; ++i) {
    const T phi = a.regressor[i];
    const T* row = a.inverse + i * n;
    NT_SIMD
    for (int64_t j = 0; j < n; ++j) k[j] = NT_FMA(phi, row[j], k[j]);
  }
  double projected = 0;
  for (int64_t i = 0; i < n; ++i) projected += static_cast<double>(a.regressor[i]) * static_cast<double>(k[i]);
  const T h = T(1) / (a.gain + a.kappa * static_cast<T>(projected));
  const T taken = a.take * h;
  for (int64_t i = 0; i < n; ++i) {
    const T own = k[i], step = -(a.rate * h * own);
    T* weight = a.weight + i * a.weight_stride;
    NT_SIMD
    for (int64_t j = 0; j < a.outputs; ++j) weight[j] = NT_FMA(step, a.error[j], weight[j]);
    T* row = a.inverse + i * n;
    // The product of the two entries first: it is the same for (i, j) and (j, i).
    NT_SIMD
    for (int64_t j = 0; j < n; ++j) row[j] = NT_FMA(-taken, own * k[j], a.keep * row[j]);
  }
}

NT_NAMESPACE_END
