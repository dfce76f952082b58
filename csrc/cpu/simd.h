// The widest vector of the instruction set, its fused multiply-add, and flushing of denormals. Intrinsics stay here.
#pragma once

#include "../common.h"

#if defined(__SSE2__)
#include <immintrin.h>
#endif

#define NT_RESTRICT __restrict__
#define NT_SIMD _Pragma("GCC ivdep")
#define NT_INLINE __attribute__((always_inline))

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

// The first lanes of a vector, 1 to all of them: the others are read as zero and not written.
template <class T>
struct Lanes {
  explicit Lanes(int64_t count) {
#if defined(__AVX512F__)
    mask = static_cast<unsigned short>((1u << count) - 1);
#elif defined(__AVX2__)
    for (int64_t i = 0; i < Simd<T>::kWidth; ++i) reinterpret_cast<T*>(&mask)[i] = T(0);
    __builtin_memset(&mask, 0xff, static_cast<size_t>(count) * sizeof(T));
#else
    this->count = count;
#endif
  }
#if defined(__AVX512F__)
  unsigned short mask;
#elif defined(__AVX2__)
  __m256i mask;
#else
  int64_t count;
#endif
};

#if defined(__AVX512F__)
NT_HD Vector<float> load(const float* p, Lanes<float> lanes) {
  return (Vector<float>)_mm512_maskz_loadu_ps(lanes.mask, p);
}
NT_HD Vector<double> load(const double* p, Lanes<double> lanes) {
  return (Vector<double>)_mm512_maskz_loadu_pd(static_cast<__mmask8>(lanes.mask), p);
}
NT_HD void store(float* p, Vector<float> v, Lanes<float> lanes) { _mm512_mask_storeu_ps(p, lanes.mask, (__m512)v); }
NT_HD void store(double* p, Vector<double> v, Lanes<double> lanes) {
  _mm512_mask_storeu_pd(p, static_cast<__mmask8>(lanes.mask), (__m512d)v);
}
#elif defined(__AVX2__)
NT_HD Vector<float> load(const float* p, Lanes<float> lanes) {
  return (Vector<float>)_mm256_maskload_ps(p, lanes.mask);
}
NT_HD Vector<double> load(const double* p, Lanes<double> lanes) {
  return (Vector<double>)_mm256_maskload_pd(p, lanes.mask);
}
NT_HD void store(float* p, Vector<float> v, Lanes<float> lanes) { _mm256_maskstore_ps(p, lanes.mask, (__m256)v); }
NT_HD void store(double* p, Vector<double> v, Lanes<double> lanes) { _mm256_maskstore_pd(p, lanes.mask, (__m256d)v); }
#else
template <class T>
NT_HD Vector<T> load(const T* p, Lanes<T> lanes) {
  Vector<T> v = {};
  for (int64_t i = 0; i < lanes.count; ++i) v[i] = p[i];
  return v;
}
template <class T>
NT_HD void store(T* p, Vector<T> v, Lanes<T> lanes) {
  for (int64_t i = 0; i < lanes.count; ++i) p[i] = v[i];
}
#endif

// a * b + c with the rounding of NT_FMA.
#if defined(__AVX512F__)
NT_HD Vector<float> fma(float a, Vector<float> b, Vector<float> c) {
  return (Vector<float>)_mm512_fmadd_ps(_mm512_set1_ps(a), (__m512)b, (__m512)c);
}
NT_HD Vector<double> fma(double a, Vector<double> b, Vector<double> c) {
  return (Vector<double>)_mm512_fmadd_pd(_mm512_set1_pd(a), (__m512d)b, (__m512d)c);
}
NT_HD Vector<float> fma(Vector<float> a, Vector<float> b, Vector<float> c) {
  return (Vector<float>)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
}
NT_HD Vector<double> fma(Vector<double> a, Vector<double> b, Vector<double> c) {
  return (Vector<double>)_mm512_fmadd_pd((__m512d)a, (__m512d)b, (__m512d)c);
}
#elif defined(__AVX2__) && defined(__FMA__)
NT_HD Vector<float> fma(float a, Vector<float> b, Vector<float> c) {
  return (Vector<float>)_mm256_fmadd_ps(_mm256_set1_ps(a), (__m256)b, (__m256)c);
}
NT_HD Vector<double> fma(double a, Vector<double> b, Vector<double> c) {
  return (Vector<double>)_mm256_fmadd_pd(_mm256_set1_pd(a), (__m256d)b, (__m256d)c);
}
NT_HD Vector<float> fma(Vector<float> a, Vector<float> b, Vector<float> c) {
  return (Vector<float>)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
}
NT_HD Vector<double> fma(Vector<double> a, Vector<double> b, Vector<double> c) {
  return (Vector<double>)_mm256_fmadd_pd((__m256d)a, (__m256d)b, (__m256d)c);
}
#else
template <class V>
NT_HD V fused(V a, V b, V c) {
#if defined(__aarch64__)
  V r;
  for (size_t i = 0; i < sizeof(V) / sizeof(r[0]); ++i) r[i] = NT_FMA(a[i], b[i], c[i]);
  return r;
#else
  return a * b + c;
#endif
}
NT_HD Vector<float> fma(Vector<float> a, Vector<float> b, Vector<float> c) { return fused(a, b, c); }
NT_HD Vector<double> fma(Vector<double> a, Vector<double> b, Vector<double> c) { return fused(a, b, c); }
NT_HD Vector<float> fma(float a, Vector<float> b, Vector<float> c) { return fused(a - Vector<float>{}, b, c); }
NT_HD Vector<double> fma(double a, Vector<double> b, Vector<double> c) { return fused(a - Vector<double>{}, b, c); }
#endif

// Past the caches, into memory that is not read again soon: half the traffic of a store that fetches its line first.
// Rows that do not begin at a cache line are copied as usual. `finish_streams` before anyone else reads.
template <class T>
NT_HD void stream_row(int64_t n, const T* NT_RESTRICT from, T* NT_RESTRICT to) {
#if defined(__SSE2__)
  constexpr int64_t line = 64 / static_cast<int64_t>(sizeof(T));
  if (reinterpret_cast<uintptr_t>(to) % 64 == 0 && n % line == 0) {
    for (int64_t j = 0; j < n; j += line) {
      const auto* source = reinterpret_cast<const char*>(from + j);
      auto* target = reinterpret_cast<char*>(to + j);
      for (int q = 0; q < 64; q += kVectorBytes) {
#if defined(__AVX512F__)
        _mm512_stream_si512(reinterpret_cast<__m512i*>(target + q), _mm512_loadu_si512(source + q));
#elif defined(__AVX2__)
        _mm256_stream_si256(reinterpret_cast<__m256i*>(target + q),
                            _mm256_loadu_si256(reinterpret_cast<const __m256i*>(source + q)));
#else
        _mm_stream_si128(reinterpret_cast<__m128i*>(target + q),
                         _mm_loadu_si128(reinterpret_cast<const __m128i*>(source + q)));
#endif
      }
    }
    return;
  }
#endif
  __builtin_memcpy(to, from, static_cast<size_t>(n) * sizeof(T));
}

NT_HD void finish_streams() {
#if defined(__SSE2__)
  _mm_sfence();
#endif
}

// A row that is read soon, where the processor does not guess it.
template <class T>
NT_HD void prefetch_row(int64_t n, const T* row) {
  constexpr int64_t line = 64 / static_cast<int64_t>(sizeof(T));
  for (int64_t j = 0; j < n; j += line) __builtin_prefetch(row + j);
}

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
