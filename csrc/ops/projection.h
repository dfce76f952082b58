// The input projection x W over a whole sequence and its weight gradient: event-driven for samples with few entries
// that are not zero, one large matrix product for the others.
#pragma once

#include <atomic>

#include "tensors.h"

namespace nt {

// A sample with a larger share of entries that are not zero is cheaper as a matrix product.
constexpr double kSparseInput = 0.25;

// x [B, T, F] times weight [F, N] -> [B, T, N], rows possibly padded (mind the strides). The choice between the two
// ways is made for each sample by itself.
Tensor project(const Tensor& x, const Tensor& weight);

// Sum over samples and steps of x[b, t]^T grad[b, t] -> [F, N].
Tensor projection_gradient(const Tensor& x, const Tensor& grad);

// The entries that are not zero of some rows, one row after the other.
template <class T>
struct Events {
  std::vector<int32_t> index;
  std::vector<T> value;
  std::vector<int64_t> start = {0};  // of every row, and the end

  void clear() { start.resize(1); }

  // Those of one more row; returns how many they are.
  int64_t add(const T* row, int64_t width) {
    const int64_t known = start.back();
    const auto room = static_cast<size_t>(known + width);
    if (index.size() < room) index.resize(2 * room), value.resize(2 * room);
    const int64_t found = of<T>(kernels()).compress(width, row, index.data() + known, value.data() + known);
    start.push_back(known + found);
    return found;
  }
};

// The part of outer_sum that belongs to features [begin, begin + width).
template <class T, class RowFunction>
class OuterSlice {
 public:
  OuterSlice(int64_t begin, int64_t width, int64_t chunk)
      : begin_(begin), width_(width), rows_(static_cast<size_t>(chunk)) {}

  // `more(b, count)` hears of the entries of sample b that are not zero; false ends everything.
  template <class More>
  void run(const Rows<const T>& grads, const Tensor& grad, int64_t features, const RowFunction& row, T* target,
           const More& more) {
    const int64_t steps = grad.size(1), n = grad.size(2), total = grad.size(0) * steps;
    const auto chunk = static_cast<int64_t>(rows_.size());
    std::vector<T> scratch(static_cast<size_t>(features));
    for (int64_t at = 0; at < total; at += chunk) {
      const int64_t count = total - at < chunk ? total - at : chunk;
      events_.clear();
      for (int64_t i = 0; i < count; ++i) {
        const int64_t b = (at + i) / steps, t = (at + i) % steps;
        rows_[static_cast<size_t>(i)] = grads.row(b, t);
        if (!more(b, events_.add(row(b, t, scratch.data()) + begin_, width_))) return;
      }
      sort(count);
      of<T>(kernels()).scatter_outer(n, 0, width_, start_.data(), sorted_row_.data(), sorted_value_.data(),
                                     rows_.data(), target + begin_ * n, n);
    }
  }

 private:
  // The events of `count` rows by feature, those of a feature in the order of the rows.
  void sort(int64_t count) {
    const auto events = static_cast<size_t>(events_.start.back());
    start_.assign(static_cast<size_t>(width_) + 2, 0);
    if (sorted_row_.size() < events) sorted_row_.resize(2 * events), sorted_value_.resize(2 * events);
    // Two behind: start_[p + 1] is then where the next event of p goes, and in the end start_[p] where p begins.
    int32_t* next = start_.data() + 1;
    for (size_t e = 0; e < events; ++e) ++next[events_.index[e] + 1];
    for (int64_t p = 0; p < width_; ++p) next[p + 1] += next[p];
    size_t e = 0;
    for (int64_t i = 0; i < count; ++i) {
      for (const auto end = static_cast<size_t>(events_.start[static_cast<size_t>(i) + 1]); e < end; ++e) {
        const auto to = static_cast<size_t>(next[events_.index[e]]++);
        sorted_row_[to] = static_cast<int32_t>(i), sorted_value_[to] = events_.value[e];
      }
    }
  }

  int64_t begin_, width_;
  std::vector<const T*> rows_;
  Events<T> events_;
  std::vector<int32_t> start_, sorted_row_;
  std::vector<T> sorted_value_;
};

// The same, event-driven, for rows that are made one at a time: `row(b, t, scratch)` returns F values. Nothing when the
// share of entries of a sample that are not zero is above `limit`. CPU only. Threads take features; the sums are in
// ascending order of the rows, whatever the number of threads.
template <class T, class RowFunction>
OptionalTensor outer_sum(int64_t features, const Tensor& grad, double limit, const RowFunction& row) {
  const int64_t batch = grad.size(0), steps = grad.size(1), n = grad.size(2);
  // Rows of grad that stay in the second-level cache.
  constexpr int64_t kCacheBytes = 1024 * 1024, kLine = 16;
  const int64_t fit = kCacheBytes / (n * static_cast<int64_t>(sizeof(T)));
  const int64_t chunk = fit < 32 ? 32 : fit > 512 ? 512 : fit;
  const Rows<const T> grads = read_rows<T>(grad);
  const Tensor out = zeros_of(grad, {features, n});
  T* target = out.mutable_data_ptr<T>();
  std::vector<std::atomic<int64_t>> events(static_cast<size_t>(batch));
  std::atomic<bool> is_sparse{true};
  const double most = limit * static_cast<double>(steps * features);
  const auto more = [&](int64_t b, int64_t count) {
    auto& known = events[static_cast<size_t>(b)];
    if (static_cast<double>(known.fetch_add(count, std::memory_order_relaxed) + count) > most)
      is_sparse.store(false, std::memory_order_relaxed);
    return is_sparse.load(std::memory_order_relaxed);
  };
  const auto threads = static_cast<int64_t>(torch::stable::get_num_threads());
  const int64_t lines = (features + kLine - 1) / kLine, slices = threads < lines ? threads : lines;
  torch::stable::parallel_for(0, slices, 1, [&](int64_t begin, int64_t end) {
    for (int64_t s = begin; s < end; ++s) {
      const int64_t first = lines * s / slices * kLine, last = lines * (s + 1) / slices * kLine;
      OuterSlice<T, RowFunction> slice(first, (last < features ? last : features) - first, chunk);
      slice.run(grads, grad, features, row, target, more);
    }
  });
  return is_sparse ? OptionalTensor(out) : std::nullopt;
}

}  // namespace nt
