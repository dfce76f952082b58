// A matrix that every step of a time loop multiplies with.
#pragma once

#include <stdlib.h>

#include "products.h"

NT_NAMESPACE_BEGIN

constexpr int64_t kBlock = 4;         // samples that share one pass over the weights
constexpr int64_t kPackedBlock = 32;  // the same where the weights are packed

// Columns [begin, end) of a padded matrix of k rows, multiples of the padding. Where it pays they are copied, at most
// four cache lines of every row in one place: such a panel stays in the cache while all rows of a block pass by, and
// lines that are a power of two apart in the matrix do not fall on the same sets.
template <class T>
class StepMatrix {
 public:
  StepMatrix() = default;
  ~StepMatrix() { free(panels_); }
  StepMatrix(const StepMatrix&) = delete;
  StepMatrix& operator=(const StepMatrix&) = delete;

  // Null stands for a matrix that there is not.
  void aim(int64_t k, const T* matrix, int64_t stride, int64_t begin, int64_t end) {
    k_ = k, matrix_ = matrix, stride_ = stride, begin_ = begin, end_ = end;
    count_ = (lines() + 3) / 4;
  }

  int64_t bytes() const { return matrix_ == nullptr ? 0 : k_ * (end_ - begin_) * static_cast<int64_t>(sizeof(T)); }

  // `steps` products with this very content are to come, of `rows` rows at a time; all matrices of a step together have
  // `step_bytes`.
  void plan(int64_t steps, int64_t rows, int64_t step_bytes) {
    constexpr int64_t kPackFrom = 16;  // fewer steps do not pay for the copy
    far_ = step_bytes > kNearBytes;
    const bool collides = stride_ * static_cast<int64_t>(sizeof(T)) % 2048 == 0;
    packs_ = steps >= kPackFrom && (rows > 1 || (far_ && collides));
  }

  // c = a times the matrix, its columns, for m rows at step t; the copy is made when it is first needed.
  void multiply(int64_t m, const T* const* a, T* const* c, int64_t t) {
    if (!packs_) return dense(m, k_, a, matrix_, stride_, c, begin_, end_, Walk{far_, backwards(t)});
    for_panels(t, [&](const T* panel, int64_t column, int64_t width) {
      int64_t r = 0;
      for (; r + 6 <= m; r += 6) panel_rows<6>(a + r, panel, width, c + r, column);
      if (r + 4 <= m) panel_rows<4>(a + r, panel, width, c + r, column), r += 4;
      if (r + 2 <= m) panel_rows<2>(a + r, panel, width, c + r, column), r += 2;
      if (r < m) panel_rows<1>(a + r, panel, width, c + r, column);
    });
  }

  // Rows that one product should take at least, so that a matrix beyond the cache is not fetched anew for each.
  int64_t block() const { return far_ ? kPackedBlock : kBlock; }

  // The same, where the rows of `a` have many zeros: only matrix rows of other entries are read, while these are at
  // most a share of `dense_rate`. `index` and `value` hold k entries for each of up to kPackedBlock rows. All ways give
  // the same bits.
  void multiply_sparse(int64_t m, const T* const* a, T* const* c, int64_t t, double dense_rate, int32_t* index,
                       T* value) {
    const T* dense_a[kPackedBlock];
    T* dense_c[kPackedBlock];
    T* sparse_c[kPackedBlock];
    int64_t events[kPackedBlock];
    int64_t many = 0, few = 0;
    for (int64_t r = 0; r < m; ++r) {
      const int64_t count = compress(k_, a[r], index + few * k_, value + few * k_);
      if (static_cast<double>(count) > dense_rate * static_cast<double>(k_)) {
        dense_a[many] = a[r];
        dense_c[many++] = c[r];
      } else {
        events[few] = count;
        sparse_c[few++] = c[r];
      }
    }
    if (few > kBlock && far_ && packs_) {
      gather_panels(few, events, index, value, sparse_c, t);
    } else {
      for (int64_t r = 0; r < few; ++r)
        gather_columns(events[r], index + r * k_, value + r * k_, matrix_, stride_, sparse_c[r], begin_, end_);
    }
    if (many > 0) multiply(many, dense_a, dense_c, t);
  }

 private:
  static constexpr int64_t kLine = 64 / static_cast<int64_t>(sizeof(T));
  static constexpr int64_t kNearBytes = int64_t{5} << 18;  // stay in a second-level cache from step to step

  bool backwards(int64_t t) const { return far_ && t % 2 != 0; }

  int64_t lines() const { return (end_ - begin_) / kLine; }

  // The lines are dealt out evenly: the sums of a single line would wait for each other.
  int64_t lines_before(int64_t panel) const {
    const int64_t each = lines() / count_, more = lines() % count_;
    return panel * each + (panel < more ? panel : more);
  }

  // f(panel, its first column, its width) in the order of step t.
  template <class F>
  void for_panels(int64_t t, const F& f) {
    if (panels_ == nullptr) pack();
    for (int64_t i = 0; i < count_; ++i) {
      const int64_t panel = backwards(t) ? count_ - 1 - i : i;
      const int64_t first = lines_before(panel), width = (lines_before(panel + 1) - first) * kLine;
      f(panels_ + first * kLine * k_, begin_ + first * kLine, width);
    }
  }

  void gather_panels(int64_t m, const int64_t* events, const int32_t* index, const T* value, T* const* c, int64_t t) {
    for_panels(t, [&](const T* panel, int64_t column, int64_t width) {
      for (int64_t r = 0; r < m; ++r)
        gather_columns(events[r], index + r * k_, value + r * k_, panel, width, c[r] + column, 0, width);
    });
  }

  void pack() {
    if (posix_memalign(reinterpret_cast<void**>(&panels_), 64, static_cast<size_t>(bytes() + 64)) != 0) abort();
    T* to = panels_;
    for (int64_t panel = 0; panel < count_; ++panel) {
      const int64_t first = lines_before(panel), width = (lines_before(panel + 1) - first) * kLine;
      for (int64_t p = 0; p < k_; ++p, to += width)
        __builtin_memcpy(to, matrix_ + p * stride_ + begin_ + first * kLine, static_cast<size_t>(width) * sizeof(T));
    }
  }

  template <int ROWS>
  void panel_rows(const T* const* a, const T* panel, int64_t width, T* const* c, int64_t column) const {
    if constexpr (kVectorBytes == 64) {
      const int64_t vectors = width / Simd<T>::kWidth;
      if (vectors == 4) return dense_tile<ROWS, 4>(k_, a, panel, width, c, column);
      if (vectors == 3) return dense_tile<ROWS, 3>(k_, a, panel, width, c, column);
      if (vectors == 2) return dense_tile<ROWS, 2>(k_, a, panel, width, c, column);
      return dense_tile<ROWS, 1>(k_, a, panel, width, c, column);
    } else {
      dense_rows<ROWS, false>(k_, a, panel, width, c, column, column + width);
    }
  }

  int64_t k_ = 0, stride_ = 0, begin_ = 0, end_ = 0, count_ = 0;
  bool far_ = false, packs_ = false;
  const T* matrix_ = nullptr;
  T* panels_ = nullptr;
};

NT_NAMESPACE_END
