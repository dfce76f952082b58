#include "projection.h"

#include <cstring>

namespace nt {

namespace {

namespace st = torch::stable;

Tensor transposed(const Tensor& t) { return st::transpose(t, 0, 1); }

Tensor matrix_product(const Tensor& x, const Tensor& weight) {
  // A time-first caller's view is multiplied in its own layout, so that nothing is copied.
  if (x.size(0) > 1 && x.stride(0) < x.stride(1)) return transposed(st::matmul(transposed(x), weight));
  return st::matmul(x, weight);
}

// Events of steps [begin, end) of a sample; false, and incomplete, when there are more than `limit`.
template <class T>
bool collect(Events<T>& events, const Rows<const T>& rows, int64_t b, int64_t begin, int64_t end, int64_t features,
             double limit) {
  events.clear();
  for (int64_t t = begin; t < end; ++t) {
    if (static_cast<double>(events.start.back()) > limit) return false;
    events.add(rows.row(b, t), features);
  }
  return static_cast<double>(events.start.back()) <= limit;
}

// Columns of the weights that fit the second-level cache: all rows of a piece read them before the next columns are.
template <class T>
int64_t columns_in_cache(int64_t features) {
  constexpr int64_t kCacheBytes = 768 * 1024, kTileBytes = 1024;
  const int64_t bytes = kCacheBytes / (features * static_cast<int64_t>(sizeof(T))) * static_cast<int64_t>(sizeof(T));
  return (bytes < kTileBytes ? kTileBytes : bytes / kTileBytes * kTileBytes) / static_cast<int64_t>(sizeof(T));
}

// The matrix cut into pieces of `tile` columns, one after the other. Where rows stay a multiple of 4 KiB apart, the
// pieces would compete for the same few sets of the caches.
template <class T>
Tensor in_tiles(const Tensor& matrix, int64_t tile) {
  const int64_t rows = matrix.size(0), width = matrix.size(1);
  if (width <= tile) return matrix;
  const Tensor out = empty_of(matrix, {rows * width});
  const T* from = matrix.const_data_ptr<T>();
  T* to = out.mutable_data_ptr<T>();
  st::parallel_for(0, (width + tile - 1) / tile, 1, [&](int64_t begin, int64_t end) {
    for (int64_t k = begin; k < end; ++k) {
      const int64_t column = k * tile, n = width - column < tile ? width - column : tile;
      for (int64_t r = 0; r < rows; ++r)
        std::memcpy(to + rows * column + r * n, from + r * width + column, static_cast<size_t>(n) * sizeof(T));
    }
  });
  return out;
}

// Event-driven x W of the sparse samples into `out`, whose rows are padded; says which samples those are.
template <class T>
std::vector<char> project_events(const Tensor& x, const Tensor& weight, const Tensor& out) {
  const int64_t batch = x.size(0), steps = x.size(1), features = x.size(2), width = out.stride(1);
  const Kernels<T>& kernel = of<T>(kernels());
  constexpr int64_t kTileFrom = 1024;  // fewer rows read too little of the matrix to pay for its copy
  const int64_t tile = batch * steps < kTileFrom ? width : columns_in_cache<T>(features);
  const Tensor matrix = in_tiles<T>(pad_columns<T>(weight), tile);
  const T* w = matrix.const_data_ptr<T>();
  const Rows<const T> rows = read_rows<T>(x);
  const Rows<T> target = write_rows<T>(out);
  const double limit = kSparseInput * static_cast<double>(steps * features);
  const auto gather = [&](const Events<T>& events, int64_t b, int64_t begin, int64_t end) {
    for (int64_t column = 0; column < width; column += tile) {
      const int64_t n = width - column < tile ? width - column : tile;
      for (int64_t t = begin; t < end; ++t) {
        const int64_t first = events.start[static_cast<size_t>(t - begin)];
        kernel.gather(n, events.start[static_cast<size_t>(t - begin) + 1] - first, events.index.data() + first,
                      events.value.data() + first, w + features * column, n, target.row(b, t) + column);
      }
    }
  };
  std::vector<char> sparse(static_cast<size_t>(batch));
  const auto threads = static_cast<int64_t>(st::get_num_threads());
  if (batch >= threads) {
    st::parallel_for(0, batch, 1, [&](int64_t begin, int64_t end) {
      Events<T> events;
      for (int64_t b = begin; b < end; ++b)
        if (collect(events, rows, b, 0, steps, features, limit))
          sparse[static_cast<size_t>(b)] = 1, gather(events, b, 0, steps);
    });
    return sparse;
  }
  // Few samples: threads take pieces of their time.
  const int64_t pieces = threads < steps ? threads : steps;
  std::vector<Events<T>> events(static_cast<size_t>(batch * pieces));
  const auto for_pieces = [&](const auto& f) {
    st::parallel_for(0, batch * pieces, 1, [&](int64_t begin, int64_t end) {
      for (int64_t k = begin; k < end; ++k) {
        const int64_t piece = k % pieces;
        f(events[static_cast<size_t>(k)], k / pieces, steps * piece / pieces, steps * (piece + 1) / pieces);
      }
    });
  };
  for_pieces([&](Events<T>& part, int64_t b, int64_t begin, int64_t end) {
    collect(part, rows, b, begin, end, features, limit);
  });
  for (int64_t b = 0; b < batch; ++b) {
    int64_t count = 0;
    for (int64_t k = 0; k < pieces; ++k) count += events[static_cast<size_t>(b * pieces + k)].start.back();
    sparse[static_cast<size_t>(b)] = static_cast<double>(count) <= limit;
  }
  for_pieces([&](const Events<T>& part, int64_t b, int64_t begin, int64_t end) {
    if (sparse[static_cast<size_t>(b)]) gather(part, b, begin, end);
  });
  return sparse;
}

template <class T>
Tensor project_on_cpu(const Tensor& x_, const Tensor& weight) {
  const Tensor x = adjacent(x_);
  const int64_t batch = x.size(0), steps = x.size(1), n = weight.size(1);
  Tensor padded_out = empty_of(x, {batch, steps, padded<T>(n)});
  const std::vector<char> sparse = project_events<T>(x, weight, padded_out);
  int64_t events = 0;
  for (const char s : sparse) events += s;
  if (events == 0) return matrix_product(x, weight);
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
  OptionalTensor out;
  if (x.is_cpu()) {
    dispatch(x, "x", [&](auto tag) {
      using T = decltype(tag);
      const Rows<const T> in = read_rows<T>(x);
      out = outer_sum<T>(features, grad, kSparseInput, [&](int64_t b, int64_t t, T*) { return in.row(b, t); });
    });
  }
  if (out) return *out;
  return st::matmul(transposed(st::reshape(x, {rows, features})), st::reshape(grad, {rows, grad.size(2)}));
}

}  // namespace nt
