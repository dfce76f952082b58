// Kernels that test the emulator itself: what the collectives return, and the mistakes that it must report.
#pragma once

#include <stdexcept>
#include <string>
#include <vector>

#include "cuemu.h"

namespace emulator {

constexpr int kWarpResults = 12;

// Twelve results for each of the 64 threads of a block.
inline __global__ void warp_operations_kernel(int* out) {
  const unsigned all = 0xffffffffu;
  const int i = static_cast<int>(threadIdx.x);
  int* result = out + i * kWarpResults;
  result[0] = __shfl_sync(all, i * 3, 5);
  result[1] = __shfl_up_sync(all, i, 2);
  result[2] = __shfl_down_sync(all, i, 3, 8);
  result[3] = __shfl_xor_sync(all, i, 7);
  result[4] = static_cast<int>(__ballot_sync(all, i & 1));
  result[5] = __any_sync(all, i == 40);
  result[6] = __all_sync(all, i < 32);
  result[7] = __reduce_add_sync(all, i);
  result[8] = __reduce_max_sync(all, -i);
  // The halves of a warp go different ways.
  result[9] = i % 32 < 16 ? __shfl_xor_sync(0x0000ffffu, i, 1) : __shfl_xor_sync(0xffff0000u, i, 2);
  result[10] = static_cast<int>(__match_any_sync(all, i % 4));
  result[11] = __syncthreads_count(i % 3 == 0);
}

inline std::vector<int> warp_operations() {
  std::vector<int> results(64 * kWarpResults);
  int* out = results.data();
  NT_LAUNCH(warp_operations_kernel, dim3(1), dim3(64), 0, nullptr, out);
  return results;
}

inline __global__ void divergent_barrier_kernel(bool others_wait_elsewhere) {
  if (threadIdx.x < 17) {
    __syncthreads();
  } else if (others_wait_elsewhere) {
    __syncthreads();
  }
}

inline __global__ void missing_lane_kernel() {
  if (threadIdx.x != 3) __shfl_sync(0xffffffffu, 1, 0);
}

inline __global__ void foreign_lane_kernel() {
  if (threadIdx.x < 16) __shfl_sync(0xffffu, 1, 20);
}

inline __global__ void not_in_mask_kernel() { __syncwarp(0xfffffffeu); }

inline __global__ void deadlock_kernel() {
  if (threadIdx.x < 16)
    __syncwarp(0xffffffffu);
  else
    __ballot_sync(0xffffffffu, 1);
}

inline __global__ void lost_update_kernel(int* sum) { *sum += 1; }

// Runs a kernel with the named mistake; the emulator answers with std::runtime_error.
inline void fault(const std::string& name) {
  int sum = 0;
  const dim3 one(1), warp(32);
  if (name == "exited_barrier")
    NT_LAUNCH(divergent_barrier_kernel, one, warp, 0, nullptr, false);
  else if (name == "divergent_barrier")
    NT_LAUNCH(divergent_barrier_kernel, one, warp, 0, nullptr, true);
  else if (name == "missing_lane")
    NT_LAUNCH(missing_lane_kernel, one, warp, 0, nullptr);
  else if (name == "foreign_lane")
    NT_LAUNCH(foreign_lane_kernel, one, warp, 0, nullptr);
  else if (name == "not_in_mask")
    NT_LAUNCH(not_in_mask_kernel, one, warp, 0, nullptr);
  else if (name == "deadlock")
    NT_LAUNCH(deadlock_kernel, one, warp, 0, nullptr);
  else if (name == "large_block")
    NT_LAUNCH(deadlock_kernel, one, dim3(1025), 0, nullptr);
  else if (name == "blocks_race")
    NT_LAUNCH(lost_update_kernel, dim3(2), one, 0, nullptr, &sum);  // ThreadSanitizer's
  else
    throw std::invalid_argument("fault: no fault is called " + name);
}

}  // namespace emulator
