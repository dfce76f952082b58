// What the layer driver and the network driver share: scratch memory, teams, columns of a team member.
#pragma once

#include <sched.h>
#include <stdlib.h>
#include <time.h>

#include "kernels.h"
#include "rows.h"
#include "step_matrix.h"

NT_NAMESPACE_BEGIN

// Zeroed scratch memory, cut into pieces that start at cache lines.
class Scratch {
 public:
  explicit Scratch(int64_t bytes) {
    if (posix_memalign(&memory_, 64, static_cast<size_t>(bytes + 64)) != 0) abort();
    __builtin_memset(memory_, 0, static_cast<size_t>(bytes + 64));
    next_ = static_cast<char*>(memory_);
  }
  ~Scratch() { free(memory_); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  template <class T>
  T* take(int64_t count) {
    T* piece = reinterpret_cast<T*>(next_);
    next_ += bytes<T>(count);
    return piece;
  }
  template <class T>
  static constexpr int64_t bytes(int64_t count) {
    return (count * static_cast<int64_t>(sizeof(T)) + 63) / 64 * 64;
  }

 private:
  void* memory_ = nullptr;
  char* next_ = nullptr;
};

constexpr int kSpins = 4000;  // some microseconds

inline int64_t nanoseconds() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<int64_t>(now.tv_sec) * 1000000000 + now.tv_nsec;
}

// All members of the team have arrived when one returns. Yields after a while, so that it also finishes when there
// are fewer cores than members.
inline void meet(const Team& team) {
  if (team.size == 1) return;
  int64_t *arrived = team.barrier, *phase = team.barrier + 8;  // two cache lines
  const int64_t now = __atomic_load_n(phase, __ATOMIC_RELAXED);
  if (__atomic_add_fetch(arrived, 1, __ATOMIC_ACQ_REL) == team.size) {
    __atomic_store_n(arrived, 0, __ATOMIC_RELAXED);
    __atomic_store_n(phase, now + 1, __ATOMIC_RELEASE);
    return;
  }
  for (int spins = 0; spins < kSpins; ++spins)
    if (__atomic_load_n(phase, __ATOMIC_ACQUIRE) != now) return;
  const int64_t begin = nanoseconds();
  while (__atomic_load_n(phase, __ATOMIC_ACQUIRE) == now) sched_yield();
  __atomic_add_fetch(team.barrier + kWaited, nanoseconds() - begin, __ATOMIC_RELAXED);
}

// The columns of one member: whole cache lines, so that members never write to the same one.
struct Columns {
  int64_t begin, end;  // of the n entries
  int64_t padded_end;  // of the padded row
  template <class T>
  static Columns of(int64_t n, const Team& team) {
    constexpr int64_t width = 64 / static_cast<int64_t>(sizeof(T));
    const int64_t lines = (n + width - 1) / width;
    const int64_t first = lines * team.rank / team.size * width, last = lines * (team.rank + 1) / team.size * width;
    return {first < n ? first : n, last < n ? last : n, last};
  }
  int64_t count() const { return end - begin; }
};

// Spikes of more than this share of the neurons: the dense product is cheaper than gathering rows.
constexpr double kDenseRate = 0.35;

NT_HD float square_root(float x) { return __builtin_sqrtf(x); }
NT_HD double square_root(double x) { return __builtin_sqrt(x); }

template <class T>
NT_HD void copy_row(int64_t n, const T* from, T* to) {
  if (n > 0 && from != to) __builtin_memcpy(to, from, static_cast<size_t>(n) * sizeof(T));
}

template <class T>
NT_HD void clear_row(int64_t n, T* row) {
  if (n > 0) __builtin_memset(row, 0, static_cast<size_t>(n) * sizeof(T));
}

template <class T>
NT_HD void add_row(int64_t n, const T* from, T* to) {
  NT_SIMD
  for (int64_t j = 0; j < n; ++j) to[j] += from[j];
}

// What the recurrent weights see of a state: a row of it, or `scratch`, filled from it.
template <class T>
NT_HD const T* presynaptic_of(const ModelInfo& info, const RowKernels<T>& rows, int64_t n, const T* constants,
                              const T* const* state, T* scratch) {
  if (!info.computes_presynaptic) return state[info.presynaptic];
  rows.presynaptic(n, constants, state, scratch);
  return scratch;
}

// Adds what the recurrent weights hand back to the gradient of the presynaptic state.
template <class T>
NT_HD void add_presynaptic(const ModelInfo& info, const RowKernels<T>& rows, int64_t n, const T* const* state,
                           const T* grad, T* grad_state) {
  info.computes_presynaptic ? rows.add_presynaptic(n, state, grad, grad_state) : add_row(n, grad, grad_state);
}

// Rows of all states of one sample; null where there is none.
template <class T>
struct StateRows {
  const T* row[kMaxStates] = {};
  StateRows() = default;
  StateRows(const ModelInfo& info, const T* const* state, int64_t offset) {
    for (int k = 0; k < info.states; ++k) row[k] = state[k] + offset;
  }
};

NT_NAMESPACE_END
