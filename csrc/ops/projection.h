// The input projection x W over a whole sequence and its weight gradient: event-driven for samples with few entries
// that are not zero, one large matrix product for the others.
#pragma once

#include "tensors.h"

namespace nt {

// A sample with a larger share of entries that are not zero is cheaper as a matrix product.
constexpr double kSparseInput = 0.25;

// x [B, T, F] times weight [F, N] -> [B, T, N], rows possibly padded (mind the strides). The choice between the two
// ways is made for each sample by itself.
Tensor project(const Tensor& x, const Tensor& weight);

// Sum over samples and steps of x[b, t]^T grad[b, t] -> [F, N].
Tensor projection_gradient(const Tensor& x, const Tensor& grad);

// The same, event-driven, for rows that are made one at a time: `row(b, t, scratch)` returns F values. Nothing when the
// share of entries of a sample that are not zero is above `limit`. CPU only.
template <class T, class RowFunction>
OptionalTensor outer_sum(int64_t features, const Tensor& grad, double limit, const RowFunction& row) {
  const Kernels<T>& kernel = of<T>(kernels());
  const int64_t batch = grad.size(0), steps = grad.size(1), n = grad.size(2), total = batch * steps;
  // Rows of grad that stay in the second-level cache. The sums are in ascending order of the rows whatever their
  // number.
  constexpr int64_t kCacheBytes = 1024 * 1024;
  const int64_t fit = kCacheBytes / (n * static_cast<int64_t>(sizeof(T)));
  const int64_t chunk = fit < 32 ? 32 : fit > 512 ? 512 : fit;
  const Rows<const T> grads = read_rows<T>(grad);
  const Tensor out = zeros_of(grad, {features, n});
  T* target = out.mutable_data_ptr<T>();
  std::vector<T> scratch(static_cast<size_t>(features)), found(static_cast<size_t>(features));
  std::vector<int32_t> found_index(static_cast<size_t>(features)), start(static_cast<size_t>(features) + 1);
  std::vector<int32_t> feature, local, sorted_local;
  std::vector<T> value, sorted_value;
  std::vector<const T*> rows(static_cast<size_t>(chunk));
  int64_t of_sample = 0;
  for (int64_t first = 0; first < total; first += chunk) {
    const int64_t count = total - first < chunk ? total - first : chunk;
    feature.clear(), local.clear(), value.clear();
    start.assign(start.size(), 0);
    for (int64_t i = 0; i < count; ++i) {
      const int64_t b = (first + i) / steps, t = (first + i) % steps;
      rows[static_cast<size_t>(i)] = grads.row(b, t);
      const int64_t active = kernel.compress(features, row(b, t, scratch.data()), found_index.data(), found.data());
      of_sample = t == 0 ? active : of_sample + active;
      if (static_cast<double>(of_sample) > limit * static_cast<double>(steps * features)) return std::nullopt;
      for (int64_t e = 0; e < active; ++e) {
        feature.push_back(found_index[static_cast<size_t>(e)]);
        value.push_back(found[static_cast<size_t>(e)]);
        local.push_back(static_cast<int32_t>(i));
        ++start[static_cast<size_t>(found_index[static_cast<size_t>(e)]) + 1];
      }
    }
    for (size_t p = 1; p < start.size(); ++p) start[p] += start[p - 1];
    sorted_local.resize(feature.size()), sorted_value.resize(feature.size());
    std::vector<int32_t> next(start.begin(), start.end() - 1);
    for (size_t e = 0; e < feature.size(); ++e) {
      const auto at = static_cast<size_t>(next[static_cast<size_t>(feature[e])]++);
      sorted_local[at] = local[e], sorted_value[at] = value[e];
    }
    torch::stable::parallel_for(0, features, 16, [&](int64_t begin, int64_t end) {
      kernel.scatter_outer(n, begin, end, start.data(), sorted_local.data(), sorted_value.data(), rows.data(), target,
                           n);
    });
  }
  return out;
}

}  // namespace nt
