// The table of CPU kernels: one per instruction set, chosen once at load (dispatch.cpp). Torch-free.
#pragma once

#include "../arguments.h"
#include "network_arguments.h"
#include "online_arguments.h"
#include "rls_arguments.h"

namespace nt {

// Two threads or more that work on the same sample meet here; one alone passes through.
struct Team {
  int64_t rank = 0, size = 1;
  int64_t* barrier = nullptr;  // kBarrier zeroed counters shared by the team
};
constexpr int kBarrier = 24, kWaited = 16;  // where the nanoseconds are added up that members waited long

template <class T>
struct Kernels {
  // Samples [begin, end), or for layers without recurrence units [begin, end) of batch x tiles_of(neurons).
  void (*layer_forward)(const LayerForward<T>&, int64_t begin, int64_t end);
  void (*layer_backward)(const LayerBackward<T>&, int64_t begin, int64_t end, const Team&);
  void (*network_forward)(const Network<T>&, int64_t begin, int64_t end, const Team&);
  void (*network_backward)(const Network<T>&, int64_t begin, int64_t end, const Team&);
  // A network that learns while it runs; all members of the team work on every step.
  void (*online_run)(const Online<T>&, const Team&);

  // z_t of the model from its saved traces (those rows may be null that the model restores).
  void (*presynaptic_row)(int64_t model, int64_t surrogate, int64_t n, const T* constants, const T* const* saved,
                          T* out);

  // Indices and values of the entries of `row` that are not zero, ascending. Both outputs hold n entries.
  int64_t (*compress)(int64_t n, const T* row, int32_t* index, T* value);
  // out[0, n) = sum of value[i] * weight[index[i], :] in the given order; n is a multiple of the vector padding.
  void (*gather)(int64_t n, int64_t count, const int32_t* index, const T* value, const T* weight, int64_t stride,
                 T* out);
  // grad[p, 0..n) += sum over entries e in [start[p], start[p + 1]) of value[e] * rows[row[e]], for p in [begin, end).
  void (*scatter_outer)(int64_t n, int64_t begin, int64_t end, const int32_t* start, const int32_t* row, const T* value,
                        const T* const* rows, T* grad, int64_t stride);

  void (*rls_update)(const RlsUpdate<T>&);
};

struct KernelTable {
  const char* isa;
  ModelInfo models[32];
  int64_t model_count;
  const char* surrogates[16];
  bool is_compact[16];  // support of the surrogate
  int64_t surrogate_count;
  Kernels<float> single;
  Kernels<double> dual;
};

template <class T>
const Kernels<T>& of(const KernelTable& table);
template <>
inline const Kernels<float>& of<float>(const KernelTable& table) {
  return table.single;
}
template <>
inline const Kernels<double>& of<double>(const KernelTable& table) {
  return table.dual;
}

// The chosen table, why it was chosen and which others were built.
struct KernelChoice {
  const KernelTable* table;
  const char* reason;
  const char* built;
};
const KernelChoice& kernel_choice();
inline const KernelTable& kernels() { return *kernel_choice().table; }

// Neurons that one unit of work takes in layers without recurrence: their state stays in the first-level cache.
constexpr int64_t kTile = 512;
constexpr int64_t tiles_of(int64_t neurons) { return (neurons + kTile - 1) / kTile; }
// Rows of weights are padded to whole vectors of the widest instruction set (64 bytes).
template <class T>
constexpr int64_t padded(int64_t n) {
  constexpr int64_t width = 64 / static_cast<int64_t>(sizeof(T));
  return (n + width - 1) / width * width;
}

}  // namespace nt
