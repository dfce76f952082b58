// Tensors of torch's stable ABI seen as the rows and pointers that the drivers take, and the wording of errors.
#pragma once

#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "../cpu/kernels.h"
#include "memory.h"

namespace nt {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;
using TensorList = std::vector<Tensor>;
using OptionalTensor = std::optional<Tensor>;
using OptionalTensorList = std::vector<OptionalTensor>;

// std::invalid_argument thrown on the calling thread arrives in Python as ValueError. Check before parallel_for.
inline void require(bool ok, const std::string& message) {
  if (!ok) throw std::invalid_argument(message);
}

inline void require_surrogate(int64_t surrogate) {
  const int64_t count = kernels().surrogate_count;
  require(surrogate >= 0 && surrogate < count,
          "surrogate: expected 0 to " + std::to_string(count - 1) + ", got " + std::to_string(surrogate));
}

inline std::string shape_of(const Tensor& t) {
  std::string text = "[";
  for (int64_t d = 0; d < t.dim(); ++d) text += (d ? ", " : "") + std::to_string(t.size(d));
  return text + "]";
}

inline std::string shape_text(const std::vector<int64_t>& sizes) {
  std::string text = "[";
  for (size_t d = 0; d < sizes.size(); ++d) text += (d ? ", " : "") + std::to_string(sizes[d]);
  return text + "]";
}

// Size -1 matches anything.
inline void require_shape(const std::string& where, const Tensor& t, const std::vector<int64_t>& sizes) {
  bool ok = t.dim() == static_cast<int64_t>(sizes.size());
  for (size_t d = 0; ok && d < sizes.size(); ++d) ok = sizes[d] < 0 || t.size(static_cast<int64_t>(d)) == sizes[d];
  require(ok, where + ": expected shape " + shape_text(sizes) + ", got " + shape_of(t));
}

inline void require_like(const std::string& where, const Tensor& t, const Tensor& reference) {
  require(t.scalar_type() == reference.scalar_type(), where + ": expected the dtype of x");
  require(t.device() == reference.device(), where + ": expected the device of x");
}

template <class F>
void dispatch(const Tensor& t, const char* where, F&& f) {
  if (t.scalar_type() == ScalarType::Float) return f(float{});
  if (t.scalar_type() == ScalarType::Double) return f(double{});
  throw std::invalid_argument(std::string(where) + ": expected float32 or float64");
}

template <class T>
Rows<const T> read_rows(const Tensor& t) {
  return {t.const_data_ptr<T>(), t.stride(0), t.stride(1)};
}
template <class T>
Rows<T> write_rows(const Tensor& t) {
  return {t.mutable_data_ptr<T>(), t.stride(0), t.stride(1)};
}

// The tensor itself when the entries of its rows are adjacent, otherwise a copy.
inline Tensor adjacent(const Tensor& t) {
  return t.size(-1) == 1 || t.stride(-1) == 1 ? t : torch::stable::contiguous(t);
}

inline Tensor steps_of(const Tensor& t, int64_t begin, int64_t count) {
  return begin == 0 && count == t.size(1) ? t : torch::stable::narrow(const_cast<Tensor&>(t), 1, begin, count);
}

inline Tensor empty_of(const Tensor& like, const std::vector<int64_t>& sizes) {
  return like.is_cpu() ? pooled_empty(like, sizes) : torch::stable::new_empty(like, {sizes.data(), sizes.size()});
}

// What stands for a gradient that nobody asked for; each one its own, since outputs of operators must not share memory.
inline Tensor nothing_like(const Tensor& like) { return empty_of(like, {0}); }

inline Tensor zeros_of(const Tensor& like, const std::vector<int64_t>& sizes) {
  return torch::stable::new_zeros(like, {sizes.data(), sizes.size()});
}

// A weight matrix with its rows padded to whole vectors: the tensor itself where no padding is needed.
template <class T>
Tensor pad_columns(const Tensor& weight) {
  const int64_t columns = weight.size(1), width = padded<T>(columns);
  if (columns == width) return torch::stable::contiguous(weight);
  Tensor out = zeros_of(weight, {weight.size(0), width});
  Tensor target = torch::stable::narrow(out, 1, 0, columns);
  torch::stable::copy_(target, weight);
  return out;
}

// Constants of any of the shapes [] and [N] as rows [constants, N].
inline Tensor expand_constants(const TensorList& constants, int64_t neurons, const Tensor& like) {
  Tensor out = empty_of(like, {static_cast<int64_t>(constants.size()), neurons});
  for (size_t k = 0; k < constants.size(); ++k) {
    Tensor row = torch::stable::select(out, 0, static_cast<int64_t>(k));
    torch::stable::copy_(row, constants[k]);
  }
  return out;
}

}  // namespace nt
