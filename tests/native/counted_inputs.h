// Fixed inputs of the counted cases: memory that lives as long as the program, and numbers of one linear generator.
#pragma once

#include <cstdlib>
#include <cstring>
#include <functional>
#include <initializer_list>
#include <string>

#include "csrc/cpu/kernels.h"

namespace nt::v3 {
extern const KernelTable table;
}

namespace counted {

template <class T>
const nt::Kernels<T>& kernels() {
  return nt::of<T>(nt::v3::table);
}

inline int64_t model_number(const std::string& name) {
  for (int64_t k = 0; k < nt::v3::table.model_count; ++k)
    if (name == nt::v3::table.models[k].name) return k;
  std::abort();
}

// What callgrind counts, how much work it is, and what share of the neurons fired or of the entries is not zero.
struct Work {
  std::function<void()> run;
  int64_t units;
  const char* unit;
  std::function<double()> active = [] { return 1.0; };
};

class Random {
 public:
  double uniform(double low, double high) {
    state_ = state_ * 6364136223846793005u + 1442695040888963407u;
    return low + (high - low) * static_cast<double>(state_ >> 11) * 0x1p-53;
  }

 private:
  uint64_t state_ = 1;
};

inline Random& random() {
  static Random generator;
  return generator;
}

template <class T>
T* zeros(int64_t count) {
  const size_t bytes = (static_cast<size_t>(count) * sizeof(T) + 127) / 64 * 64;
  void* memory = std::aligned_alloc(64, bytes);
  if (memory == nullptr) std::abort();
  std::memset(memory, 0, bytes);
  return static_cast<T*>(memory);
}

template <class T>
T* uniform(int64_t count, double low, double high) {
  T* out = zeros<T>(count);
  for (int64_t i = 0; i < count; ++i) out[i] = static_cast<T>(random().uniform(low, high));
  return out;
}

// `rate` of the entries are `event`, the others lie within `noise` of zero.
template <class T>
T* events(int64_t count, double rate, double event, double noise) {
  T* out = uniform<T>(count, -noise, noise);
  for (int64_t i = 0; i < count; ++i)
    if (random().uniform(0, 1) < rate) out[i] = static_cast<T>(event);
  return out;
}

// [rows, padded(columns)] with zeros behind the columns.
template <class T>
T* matrix(int64_t rows, int64_t columns, double low, double high) {
  const int64_t stride = nt::padded<T>(columns);
  T* out = zeros<T>(rows * stride);
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < columns; ++j) out[i * stride + j] = static_cast<T>(random().uniform(low, high));
  return out;
}

template <class T>
T* transposed(int64_t rows, int64_t columns, const T* from) {
  const int64_t stride = nt::padded<T>(columns), other = nt::padded<T>(rows);
  T* out = zeros<T>(columns * other);
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < columns; ++j) out[j * other + i] = from[i * stride + j];
  return out;
}

template <class T>
std::function<double()> share_not_zero(int64_t count, const T* values) {
  return [=] {
    int64_t found = 0;
    for (int64_t i = 0; i < count; ++i) found += values[i] != T(0);
    return static_cast<double>(found) / static_cast<double>(count);
  };
}

// One row per constant, the same value for all neurons.
template <class T>
T* constants(std::initializer_list<double> values, int64_t neurons) {
  T* out = zeros<T>(static_cast<int64_t>(values.size()) * neurons);
  int64_t at = 0;
  for (const double value : values)
    for (int64_t j = 0; j < neurons; ++j) out[at++] = static_cast<T>(value);
  return out;
}

// [B, T, width] of adjacent entries.
template <class P>
nt::Rows<P> rows(P* data, int64_t steps, int64_t width) {
  return {data, steps * width, width};
}

}  // namespace counted
