// What every kernel file starts from: CUDA and the models. nvcc: the CUDA toolkit; a host compiler with
// NT_CUDA_EMULATE: the emulator (tests/emulator), which gives the same names and the three macros below a meaning on
// the CPU.
#pragma once

#define NT_ISA_NAME cuda_models  // before the model headers, which take their namespace from it

#include "../activation.h"
#include "../models/models.h"

#if defined(NT_CUDA_EMULATE)
#include "cuemu.h"
#else
#include <cuda_runtime.h>

#define NT_LAUNCH(kernel, grid, block, shared_bytes, stream, ...) \
  (kernel)<<<(grid), (block), (shared_bytes), (stream)>>>(__VA_ARGS__)

#define NT_DYNAMIC_SHARED(name)                                     \
  extern __shared__ __align__(16) unsigned char nt_shared_memory[]; \
  unsigned char* name = nt_shared_memory

// Asks for more than the 48 KiB of dynamic shared memory that every device grants; false where there is not as much.
#define NT_ALLOW_SHARED(kernel, bytes) nt::cuda::allow_shared(reinterpret_cast<const void*>(kernel), (bytes))

namespace nt::cuda {
inline bool allow_shared(const void* kernel, size_t bytes) {
  if (bytes <= 48 * 1024) return true;
  if (cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(bytes)) == cudaSuccess)
    return true;
  cudaGetLastError();  // answered here: the caller must not see it as the error of a launch
  return false;
}
}  // namespace nt::cuda
#endif
