// Numpy arrays as the arguments of the CUDA drivers, so that Python can run the emulated kernels.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <limits>
#include <optional>
#include <vector>

#include "csrc/cuda/compat.cuh"
#include "csrc/cuda/layer.h"

namespace emulator {

namespace py = pybind11;
template <class T>
using Array = py::array_t<T, 0>;  // any strides, no conversion
template <class T>
using OptionalArray = std::optional<Array<T>>;

struct Model {
  int states, constants, output;
};

inline Model model_of(int64_t number) {
  static constexpr Model models[] = {
#define NT_DESCRIBE(name, M)                                                          \
  {nt::M<float, nt::FastSigmoid>::kStates, nt::M<float, nt::FastSigmoid>::kConstants, \
   nt::M<float, nt::FastSigmoid>::kOutput},
      NT_MODELS(NT_DESCRIBE)
#undef NT_DESCRIBE
  };
  return models[number];
}

inline int64_t model_number(const std::string& name) {
  int64_t number = 0;
#define NT_FIND(model, M)            \
  if (name == #model) return number; \
  ++number;
  NT_MODELS(NT_FIND)
#undef NT_FIND
  throw py::value_error("model: no model is called " + name);
}

// A contiguous copy of the entries, exactly as long: an access beyond it is one that AddressSanitizer sees.
template <class T>
std::vector<T> copy_of(const Array<T>& array) {
  const auto dense = py::array_t<T, py::array::c_style>::ensure(array);
  return std::vector<T>(dense.data(), dense.data() + dense.size());
}

template <class T>
std::vector<std::vector<T>> copies_of(const std::vector<Array<T>>& arrays) {
  std::vector<std::vector<T>> copies;
  for (const Array<T>& a : arrays) copies.push_back(copy_of(a));
  return copies;
}

template <class T>
Array<T> array_of(const std::vector<T>& values, const std::vector<py::ssize_t>& shape) {
  Array<T> out(shape);
  std::copy(values.begin(), values.end(), out.mutable_data());
  return out;
}

template <class T>
nt::Rows<const T> read_rows(const Array<T>& array) {
  const auto size = static_cast<py::ssize_t>(sizeof(T));
  return {array.data(), array.strides(0) / size, array.strides(1) / size};
}

template <class T>
nt::Rows<const T> read_rows(const OptionalArray<T>& array) {
  return array ? read_rows(*array) : nt::Rows<const T>{};
}

template <class T>
nt::Rows<T> write_rows(std::vector<T>& values, int64_t steps, int64_t neurons) {
  return {values.data(), steps * neurons, neurons};
}

// A weight matrix with padded rows. The padding is NaN: a kernel that adds it up shows.
template <class T>
struct Padded {
  std::vector<T> values;
  int64_t stride = 0;

  Padded(const OptionalArray<T>& matrix, bool transposed) {
    if (!matrix) return;
    const auto entry = matrix->template unchecked<2>();
    const int64_t n = entry.shape(0);
    stride = n + 3;
    values.assign(static_cast<size_t>(n * stride), std::numeric_limits<T>::quiet_NaN());
    for (int64_t p = 0; p < n; ++p)
      for (int64_t j = 0; j < n; ++j)
        values[static_cast<size_t>(p * stride + j)] = transposed ? entry(j, p) : entry(p, j);
  }
  const T* data() const { return values.empty() ? nullptr : values.data(); }
};

}  // namespace emulator
