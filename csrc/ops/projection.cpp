#include "projection.h"

namespace nt {

namespace {

namespace st = torch::stable;

Tensor transposed(const Tensor& t) { return st::transpose(t, 0, 1); }

Tensor matrix_product(const Tensor& x, const Tensor& weight) {
  // A time-first caller's view is multiplied in its own layout, so that nothing is copied.
  if (x.size(0) > 1 && x.stride(0) < x.stride(1)) return transposed(st::matmul(transposed(x), weight));
  return st::matmul(x, weight);
}

template <class T>
std::vector<char> sparse_samples(const Tensor& x) {
  const int64_t batch = x.size(0), steps = x.size(1), features = x.size(2);
  const Kernels<T>& kernel = of<T>(kernels());
  const Rows<const T> rows = read_rows<T>(x);
  std::vector<char> sparse(static_cast<size_t>(batch));
  const double limit = kSparseInput * static_cast<double>(steps * features);
  st::parallel_for(0, batch, 1 + 32768 / (steps * features), [&](int64_t begin, int64_t end) {
    for (int64_t b = begin; b < end; ++b) {
      int64_t active = 0;
      for (int64_t t = 0; t < steps && static_cast<double>(active) <= limit; ++t)
        active += kernel.count_nonzero(features, rows.row(b, t));
      sparse[static_cast<size_t>(b)] = static_cast<double>(active) <= limit;
    }
  });
  return sparse;
}

template <class T>
void project_events(const Tensor& x, const Tensor& weight, const std::vector<char>& sparse, const Tensor& out) {
  const int64_t batch = x.size(0), steps = x.size(1), features = x.size(2), width = out.stride(1);
  const Kernels<T>& kernel = of<T>(kernels());
  const Tensor matrix = pad_columns<T>(weight);
  const T* w = matrix.const_data_ptr<T>();
  const Rows<const T> rows = read_rows<T>(x);
  const Rows<T> target = write_rows<T>(out);
  st::parallel_for(0, batch * steps, 16, [&](int64_t begin, int64_t end) {
    std::vector<int32_t> index(static_cast<size_t>(features));
    std::vector<T> value(static_cast<size_t>(features));
    for (int64_t i = begin; i < end; ++i) {
      const int64_t b = i / steps, t = i % steps;
      if (!sparse[static_cast<size_t>(b)]) continue;
      const int64_t count = kernel.compress(features, rows.row(b, t), index.data(), value.data());
      kernel.gather(width, count, index.data(), value.data(), w, width, target.row(b, t));
    }
  });
}

template <class T>
Tensor project_on_cpu(const Tensor& x_, const Tensor& weight) {
  const Tensor x = adjacent(x_);
  const std::vector<char> sparse = sparse_samples<T>(x);
  const int64_t batch = x.size(0), steps = x.size(1), n = weight.size(1);
  int64_t events = 0;
  for (const char s : sparse) events += s;
  if (events == 0) return matrix_product(x, weight);
  Tensor padded_out = empty_of(x, {batch, steps, padded<T>(n)});
  project_events<T>(x, weight, sparse, padded_out);
  Tensor out = st::narrow(padded_out, 2, 0, n);
  for (int64_t b = 0; b < batch;) {  // runs of samples that are not sparse
    int64_t end = b;
    while (end < batch && !sparse[static_cast<size_t>(end)]) ++end;
    if (end > b) {
      Tensor in = x, target = out;
      in = st::narrow(in, 0, b, end - b), target = st::narrow(target, 0, b, end - b);
      st::copy_(target, st::matmul(in, weight));
    }
    b = end + 1;
  }
  return out;
}

}  // namespace

Tensor project(const Tensor& x, const Tensor& weight) {
  if (!x.is_cpu()) return matrix_product(x, weight);
  Tensor out;
  dispatch(x, "x", [&](auto tag) { out = project_on_cpu<decltype(tag)>(x, weight); });
  return out;
}

Tensor projection_gradient(const Tensor& x_, const Tensor& grad) {
  const Tensor x = adjacent(x_);
  const int64_t rows = x.size(0) * x.size(1), features = x.size(2);
  Tensor out;
  bool events = x.is_cpu();
  if (events) {
    dispatch(x, "x", [&](auto tag) {
      using T = decltype(tag);
      for (const char s : sparse_samples<T>(x)) events = events && s;
      if (!events) return;
      const Rows<const T> in = read_rows<T>(x);
      out = outer_sum<T>(features, grad, [&](int64_t b, int64_t t, T*) { return in.row(b, t); });
    });
  }
  if (events) return out;
  return st::matmul(transposed(st::reshape(x, {rows, features})), st::reshape(grad, {rows, grad.size(2)}));
}

}  // namespace nt
