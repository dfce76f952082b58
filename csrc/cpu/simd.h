// The widest vector of the instruction set, its fused multiply-add, and flushing of denormals. Intrinsics stay here.
#pragma once

#include "../common.h"

#if defined(__SSE2__)
#include <immintrin.h>
#endif

#define NT_RESTRICT __restrict__
#define NT_SIMD _Pragma("GCC ivdep")

NT_NAMESPACE_BEGIN

#if defined(__AVX512F__)
constexpr int kVectorBytes = 64;
#elif defined(__AVX2__)
constexpr int kVectorBytes = 32;
#else
constexpr int kVectorBytes = 16;
#endif

template <class T>
struct Simd {
  typedef T Vector __attribute__((vector_size(kVectorBytes), aligned(alignof(T)), may_alias));
  static constexpr int64_t kWidth = kVectorBytes / static_cast<int64_t>(sizeof(T));
};
template <class T>
using Vector = typename Simd<T>::Vector;

template <class T>
NT_HD Vector<T> load(const T* p) {
  return *reinterpret_cast<const Vector<T>*>(p);
}
template <class T>
NT_HD void store(T* p, Vector<T> v) {
  *reinterpret_cast<Vector<T>*>(p) = v;
}

// a * b + c with the rounding of NT_FMA.
#if defined(__AVX512F__)
NT_HD Vector<float> fma(float a, Vector<float> b, Vector<float> c) {
  return (Vector<float>)_mm512_fmadd_ps(_mm512_set1_ps(a), (__m512)b, (__m512)c);
}
NT_HD Vector<double> fma(double a, Vector<double> b, Vector<double> c) {
  return (Vector<double>)_mm512_fmadd_pd(_mm512_set1_pd(a), (__m512d)b, (__m512d)c);
}
#elif defined(__AVX2__) && defined(__FMA__)
NT_HD Vector<float> fma(float a, Vector<float> b, Vector<float> c) {
  return (Vector<float>)_mm256_fmadd_ps(_mm256_set1_ps(a), (__m256)b, (__m256)c);
}
NT_HD Vector<double> fma(double a, Vector<double> b, Vector<double> c) {
  return (Vector<double>)_mm256_fmadd_pd(_mm256_set1_pd(a), (__m256d)b, (__m256d)c);
}
#else
template <class T>
NT_HD Vector<T> fma(T a, Vector<T> b, Vector<T> c) {
#if defined(__aarch64__)
  Vector<T> r;
  for (int i = 0; i < Simd<T>::kWidth; ++i) r[i] = NT_FMA(a, T(b[i]), T(c[i]));
  return r;
#else
  return a * b + c;
#endif
}
#endif

// Denormals are read and written as zero while this lives; the mode belongs to the thread and is restored.
struct FlushDenormals {
#if defined(__SSE2__)
  unsigned saved = _mm_getcsr();
  FlushDenormals() { _mm_setcsr(saved | 0x8040u); }
  ~FlushDenormals() { _mm_setcsr(saved); }
#elif defined(__aarch64__)
  uint64_t saved;
  FlushDenormals() {
    __asm__ __volatile__("mrs %0, fpcr" : "=r"(saved));
    __asm__ __volatile__("msr fpcr, %0" : : "r"(saved | (uint64_t(1) << 24)));
  }
  ~FlushDenormals() { __asm__ __volatile__("msr fpcr, %0" : : "r"(saved)); }
#else
  FlushDenormals() {}
  ~FlushDenormals() {}
#endif
  FlushDenormals(const FlushDenormals&) = delete;
  FlushDenormals& operator=(const FlushDenormals&) = delete;
};

NT_NAMESPACE_END
