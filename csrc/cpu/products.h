// Small matrix products of the time loop. Every element is a sum in ascending order of the inner index, whatever the
// blocking, so gathering over spikes, dense products and any split over threads or samples give the same bits.
#pragma once

#include <cstring>

#include "simd.h"

NT_NAMESPACE_BEGIN

// c[ROWS, VECTORS] = a[ROWS, k] b[k, VECTORS], columns of c from `column` on.
template <int ROWS, int VECTORS, class T>
NT_HD void dense_tile(int64_t k, const T* const* a, const T* NT_RESTRICT b, int64_t stride, T* const* c,
                      int64_t column) {
  constexpr int64_t W = Simd<T>::kWidth;
  Vector<T> sum[ROWS][VECTORS] = {};
  for (int64_t p = 0; p < k; ++p) {
    const T* line = b + p * stride;
    Vector<T> value[VECTORS];
    for (int q = 0; q < VECTORS; ++q) value[q] = load(line + q * W);
    for (int r = 0; r < ROWS; ++r)
      for (int q = 0; q < VECTORS; ++q) sum[r][q] = fma(a[r][p], value[q], sum[r][q]);
  }
  for (int r = 0; r < ROWS; ++r)
    for (int q = 0; q < VECTORS; ++q) store(c[r] + column + q * W, sum[r][q]);
}

// Sum of a[j] b[j] over j < n, a multiple of the padding: four cache lines of partial sums, added up in pairs. The same
// bits in every instruction set with a fused multiply-add, but other ones than the sums in ascending order.
template <class T>
NT_HD T dot(int64_t n, const T* a, const T* b) {
  constexpr int64_t W = Simd<T>::kWidth, kLine = 64 / static_cast<int64_t>(sizeof(T));
  constexpr int kLines = 4, kVectors = 64 / kVectorBytes;
  Vector<T> sum[kLines][kVectors] = {};
  int64_t j = 0;
  for (; j + kLines * kLine <= n; j += kLines * kLine)
    for (int l = 0; l < kLines; ++l)
      for (int q = 0; q < kVectors; ++q)
        sum[l][q] = fma(load(a + j + l * kLine + q * W), load(b + j + l * kLine + q * W), sum[l][q]);
  for (int l = 0; j < n; j += kLine, ++l)
    for (int q = 0; q < kVectors; ++q) sum[l][q] = fma(load(a + j + q * W), load(b + j + q * W), sum[l][q]);
  alignas(64) T line[kLine];
  for (int q = 0; q < kVectors; ++q) store(line + q * W, (sum[0][q] + sum[1][q]) + (sum[2][q] + sum[3][q]));
#if defined(__AVX2__)
  if constexpr (sizeof(T) == 4) {  // as below
    const __m256 eight = _mm256_add_ps(_mm256_load_ps(line), _mm256_load_ps(line + 8));
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
  }
#endif
  for (int64_t half = kLine / 2; half > 0; half /= 2)
    for (int64_t q = 0; q < half; ++q) line[q] += line[q + half];
  return line[0];
}

// Registers that hold the sums of one row: more columns are summed in several passes.
constexpr int kSums = kVectorBytes == 64 ? 16 : 8;

// How the columns of a matrix are read at a step. Matrices of a step that do not fit the cache are read in narrow
// pieces and every other step backwards: what was read last is then still in the cache, while a matrix somewhat larger
// than the cache that is always read in one direction never is.
struct Walk {
  bool narrow = false, back = false;
};

// Columns [begin, end) of c = a b for ROWS rows; begin and end are multiples of the padding. b starts at column begin.
template <int ROWS, bool kNarrow, class T>
NT_HD void dense_rows(int64_t k, const T* const* a, const T* b, int64_t stride, T* const* c, int64_t begin, int64_t end,
                      bool back = false) {
  constexpr int64_t W = Simd<T>::kWidth;
  constexpr int kWide = ROWS > 1 ? kSums / 4 : kNarrow && kSums == 16 ? 4 : kSums;
  const int64_t rest = begin + (end - begin) / (kWide * W) * (kWide * W);
  for (int64_t i = begin; i < rest; i += kWide * W) {
    const int64_t j = back ? rest - kWide * W - (i - begin) : i;
    dense_tile<ROWS, kWide>(k, a, b + (j - begin), stride, c, j);
  }
  int64_t j = rest;
  for (; j + 2 * W <= end; j += 2 * W) dense_tile<ROWS, 2>(k, a, b + (j - begin), stride, c, j);
  for (; j + W <= end; j += W) dense_tile<ROWS, 1>(k, a, b + (j - begin), stride, c, j);
}

// The same for m rows, four at a time.
template <class T>
NT_HD void dense(int64_t m, int64_t k, const T* const* a, const T* b, int64_t stride, T* const* c, int64_t begin,
                 int64_t end, Walk walk = {}) {
  int64_t r = 0;
  b += begin;
  for (; r + 4 <= m; r += 4) dense_rows<4, false>(k, a + r, b, stride, c + r, begin, end, walk.back);
  if (r + 2 <= m) {
    dense_rows<2, false>(k, a + r, b, stride, c + r, begin, end, walk.back);
    r += 2;
  }
  if (r == m) return;
  if (walk.narrow)
    dense_rows<1, true>(k, a + r, b, stride, c + r, begin, end, walk.back);
  else
    dense_rows<1, false>(k, a + r, b, stride, c + r, begin, end, walk.back);
}

// Bit i says whether entry i of a vector is not zero.
#if defined(__AVX512F__)
NT_HD unsigned nonzero_bits(const float* p) {
  return _mm512_cmp_ps_mask(_mm512_loadu_ps(p), _mm512_setzero_ps(), _CMP_NEQ_UQ);
}
NT_HD unsigned nonzero_bits(const double* p) {
  return _mm512_cmp_pd_mask(_mm512_loadu_pd(p), _mm512_setzero_pd(), _CMP_NEQ_UQ);
}
#elif defined(__AVX2__)
NT_HD unsigned nonzero_bits(const float* p) {
  return static_cast<unsigned>(_mm256_movemask_ps(_mm256_cmp_ps(_mm256_loadu_ps(p), _mm256_setzero_ps(), _CMP_NEQ_UQ)));
}
NT_HD unsigned nonzero_bits(const double* p) {
  return static_cast<unsigned>(_mm256_movemask_pd(_mm256_cmp_pd(_mm256_loadu_pd(p), _mm256_setzero_pd(), _CMP_NEQ_UQ)));
}
#elif defined(__SSE2__)
NT_HD unsigned nonzero_bits(const float* p) {
  return static_cast<unsigned>(_mm_movemask_ps(_mm_cmpneq_ps(_mm_loadu_ps(p), _mm_setzero_ps())));
}
NT_HD unsigned nonzero_bits(const double* p) {
  return static_cast<unsigned>(_mm_movemask_pd(_mm_cmpneq_pd(_mm_loadu_pd(p), _mm_setzero_pd())));
}
#else
template <class T>
NT_HD unsigned nonzero_bits(const T* p) {
  unsigned bits = 0;
  for (int i = 0; i < Simd<T>::kWidth; ++i) bits |= static_cast<unsigned>(p[i] != T(0)) << i;
  return bits;
}
#endif

// Indices and values of the entries that are not zero, ascending; both outputs hold n entries.
template <class T>
int64_t compress(int64_t n, const T* row, int32_t* index, T* value) {
  constexpr int64_t W = Simd<T>::kWidth;
  constexpr int64_t kAhead =
      4096 / static_cast<int64_t>(sizeof(T));  // one page: the processor's own guesses end with it
  int64_t count = 0;
  int64_t i = 0;
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 4) {
    __m512i id = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    const __m512i sixteen = _mm512_set1_epi32(16);
    // The compressed vectors are stored whole, which is faster than a masked store; up to the last full one there is
    // room. Empty ones too: a jump over them would be guessed wrong too often.
    for (; i + 16 <= n; i += 16, id = _mm512_add_epi32(id, sixteen)) {
      __builtin_prefetch(row + i + kAhead);
      const __m512 v = _mm512_loadu_ps(row + i);
      const __mmask16 mask = _mm512_cmp_ps_mask(v, _mm512_setzero_ps(), _CMP_NEQ_UQ);
      _mm512_storeu_si512(index + count, _mm512_maskz_compress_epi32(mask, id));
      _mm512_storeu_ps(value + count, _mm512_maskz_compress_ps(mask, v));
      count += __builtin_popcount(mask);
    }
  }
#endif
  for (; i + W <= n; i += W) {
    __builtin_prefetch(row + i + kAhead);
    for (unsigned bits = nonzero_bits(row + i); bits != 0; bits &= bits - 1) {
      const int64_t at = i + __builtin_ctz(bits);
      index[count] = static_cast<int32_t>(at);
      value[count++] = row[at];
    }
  }
  for (; i < n; ++i) {
    index[count] = static_cast<int32_t>(i);
    value[count] = row[i];
    count += row[i] != T(0);
  }
  return count;
}

template <class T>
int64_t count_nonzero(int64_t n, const T* values) {
  int64_t count = 0;
  NT_SIMD
  for (int64_t i = 0; i < n; ++i) count += values[i] != T(0);
  return count;
}

template <int V>
struct Number {
  static constexpr int value = V;
};

// f(Number<count>) for a count from 1 to most.
template <int MOST, class F>
NT_HD void with_number(int64_t count, const F& f) {
  if constexpr (MOST > 1) {
    if (count < MOST) return with_number<MOST - 1>(count, f);
  }
  f(Number<MOST>{});
}

template <int VECTORS, class T>
NT_HD void gather_tile(int64_t count, const int32_t* index, const T* value, const T* weight, int64_t stride, T* out) {
  constexpr int64_t W = Simd<T>::kWidth;
  Vector<T> sum[VECTORS] = {};
  for (int64_t e = 0; e < count; ++e) {
    const T* line = weight + index[e] * stride;
    for (int q = 0; q < VECTORS; ++q) sum[q] = fma(value[e], load(line + q * W), sum[q]);
  }
  for (int q = 0; q < VECTORS; ++q) store(out + q * W, sum[q]);
}

// out[begin, end) = sum over the listed rows; spikes have value 1, for which fma is an exact addition.
template <class T>
NT_HD void gather_columns(int64_t count, const int32_t* index, const T* value, const T* weight, int64_t stride, T* out,
                          int64_t begin, int64_t end) {
  constexpr int64_t W = Simd<T>::kWidth;
  int64_t j = begin;
  for (; j + kSums * W <= end; j += kSums * W) gather_tile<kSums>(count, index, value, weight + j, stride, out + j);
  if (j == end) return;
  with_number<kSums - 1>((end - j) / W, [&](auto vectors) NT_INLINE {
    gather_tile<decltype(vectors)::value>(count, index, value, weight + j, stride, out + j);
  });
}

template <class T>
void gather(int64_t n, int64_t count, const int32_t* index, const T* value, const T* weight, int64_t stride, T* out) {
  const FlushDenormals flush;
  gather_columns(count, index, value, weight, stride, out, 0, n);
}

// The last vector has only some lanes.
template <int VECTORS, class T>
NT_HD void outer_tile(int64_t first, int64_t last, const int32_t* row, const T* value, const T* const* rows,
                      int64_t column, Lanes<T> lanes, T* grad) {
  constexpr int64_t W = Simd<T>::kWidth;
  constexpr int kFull = VECTORS - 1;
  Vector<T> sum[VECTORS];
  for (int q = 0; q < kFull; ++q) sum[q] = load(grad + column + q * W);
  sum[kFull] = load(grad + column + kFull * W, lanes);
  for (int64_t e = first; e < last; ++e) {
    const T* line = rows[row[e]] + column;
    for (int q = 0; q < kFull; ++q) sum[q] = fma(value[e], load(line + q * W), sum[q]);
    sum[kFull] = fma(value[e], load(line + kFull * W, lanes), sum[kFull]);
  }
  for (int q = 0; q < kFull; ++q) store(grad + column + q * W, sum[q]);
  store(grad + column + kFull * W, sum[kFull], lanes);
}

template <class T>
void scatter_outer(int64_t n, int64_t begin, int64_t end, const int32_t* start, const int32_t* row, const T* value,
                   const T* const* rows, T* grad, int64_t stride) {
  const FlushDenormals flush;
  constexpr int64_t W = Simd<T>::kWidth;
  const Lanes<T> all(W), some(n % W == 0 ? W : n % W);
  for (int64_t p = begin; p < end; ++p) {
    const int64_t first = start[p], last = start[p + 1];
    if (first == last) continue;
    T* target = grad + p * stride;
    int64_t j = 0;
    for (; j + kSums * W <= n; j += kSums * W) outer_tile<kSums>(first, last, row, value, rows, j, all, target);
    if (j == n) continue;
    with_number<kSums>((n - j + W - 1) / W, [&](auto vectors) NT_INLINE {
      outer_tile<decltype(vectors)::value>(first, last, row, value, rows, j, some, target);
    });
  }
}

NT_NAMESPACE_END
