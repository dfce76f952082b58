// cuemu: lets a host C++20 compiler build a CUDA source file, and runs its kernels on the CPU.
//
// Every CUDA thread is a fiber. A fiber runs until it reaches a barrier, a warp collective or its end; a block runs
// to its end before the next one starts. Found on the way, with file and line:
//   * barriers that some threads of the block do not reach, or reach elsewhere,
//   * warp collectives whose mask and callers disagree, and lanes that read from outside the mask,
//   * data races in shared and global memory, within and between blocks, when built with -fsanitize=thread
//     (every fiber is a fiber of ThreadSanitizer too),
//   * accesses out of bounds, when built with -fsanitize=address.
// Not modelled: clusters, cooperative grids, asynchronous copies, textures, __activemask, memory ordering weaker than
// sequential consistency, and speed.
//
// cuemu/fiber.h switches stacks, cuemu/block.h runs a block, cuemu/warp.h has the warp collectives, cuemu/launch.h
// runs a grid. This file gives all of it the names that CUDA uses.
#pragma once

#include "cuemu/launch.h"
#include "cuemu/warp.h"

#define __global__
#define __device__
#define __host__
#define __constant__ static const
#define __shared__ static thread_local
#define __forceinline__ inline
#define __launch_bounds__(...)

#define threadIdx (cuemu::block()->running->index)
#define blockIdx (cuemu::block()->index)
#define blockDim (cuemu::block()->size)
#define gridDim (cuemu::block()->grid)
inline constexpr int warpSize = 32;

// The three places where a kernel file cannot be written the same way for both compilers (see csrc/cuda/compat.cuh).
#define NT_LAUNCH(kernel, grid, block, shared_bytes, stream, ...) \
  ((void)(stream), cuemu::launch((grid), (block), (shared_bytes), [&] { (kernel)(__VA_ARGS__); }))
#define NT_DYNAMIC_SHARED(name) unsigned char* name = cuemu::block()->dynamic_shared
#define NT_ALLOW_SHARED(kernel, bytes) ((bytes) <= cuemu::kMaxShared)

// ---- barriers ------------------------------------------------------------------------------------------------
#define CUEMU_SITE const cuemu::Site& site = cuemu::Site::current()

inline void __syncthreads(CUEMU_SITE) { cuemu::barrier(cuemu::Vote::count, 0, site); }
inline int __syncthreads_count(int p, CUEMU_SITE) { return cuemu::barrier(cuemu::Vote::count, p, site); }
inline int __syncthreads_and(int p, CUEMU_SITE) { return cuemu::barrier(cuemu::Vote::all, p, site); }
inline int __syncthreads_or(int p, CUEMU_SITE) { return cuemu::barrier(cuemu::Vote::any, p, site); }

// ---- warp collectives ----------------------------------------------------------------------------------------
inline void __syncwarp(unsigned mask = 0xffffffffu, CUEMU_SITE) { cuemu::collective({cuemu::Op::sync, mask}, site); }

#define CUEMU_SHUFFLE(name, op, Argument)                                                                        \
  template <class T>                                                                                             \
  T name(unsigned mask, T value, Argument argument, int width = warpSize, CUEMU_SITE) {                          \
    const auto a = static_cast<int>(argument);                                                                   \
    return cuemu::from_bits<T>(cuemu::collective({cuemu::Op::op, mask, cuemu::to_bits(value), a, width}, site)); \
  }
CUEMU_SHUFFLE(__shfl_sync, shuffle, int)
CUEMU_SHUFFLE(__shfl_up_sync, shuffle_up, unsigned)
CUEMU_SHUFFLE(__shfl_down_sync, shuffle_down, unsigned)
CUEMU_SHUFFLE(__shfl_xor_sync, shuffle_xor, int)

#define CUEMU_VOTE(name, op, Result)                                                                 \
  inline Result name(unsigned mask, int predicate, CUEMU_SITE) {                                     \
    return static_cast<Result>(cuemu::collective({cuemu::Op::op, mask, predicate ? 1u : 0u}, site)); \
  }
CUEMU_VOTE(__ballot_sync, ballot, unsigned)
CUEMU_VOTE(__any_sync, any, int)
CUEMU_VOTE(__all_sync, all, int)

template <class T>
unsigned __match_any_sync(unsigned mask, T value, CUEMU_SITE) {
  return static_cast<unsigned>(cuemu::collective({cuemu::Op::match, mask, cuemu::to_bits(value)}, site));
}

#define CUEMU_REDUCE(name, op, T)                                                                              \
  inline T name(unsigned mask, T value, CUEMU_SITE) {                                                          \
    const bool is_signed = static_cast<T>(-1) < static_cast<T>(0);                                             \
    return static_cast<T>(                                                                                     \
        cuemu::collective({cuemu::Op::op, mask, static_cast<uint32_t>(value), 0, warpSize, is_signed}, site)); \
  }
CUEMU_REDUCE(__reduce_add_sync, add, unsigned)
CUEMU_REDUCE(__reduce_add_sync, add, int)
CUEMU_REDUCE(__reduce_min_sync, min, unsigned)
CUEMU_REDUCE(__reduce_min_sync, min, int)
CUEMU_REDUCE(__reduce_max_sync, max, unsigned)
CUEMU_REDUCE(__reduce_max_sync, max, int)
CUEMU_REDUCE(__reduce_and_sync, bit_and, unsigned)
CUEMU_REDUCE(__reduce_or_sync, bit_or, unsigned)
CUEMU_REDUCE(__reduce_xor_sync, bit_xor, unsigned)

// ---- atomics and small functions -----------------------------------------------------------------------------
namespace cuemu {
template <class T, class F>
T atomic_update(T* address, F update) {
  using Word = std::conditional_t<sizeof(T) == 8, uint64_t, uint32_t>;
  auto* word = reinterpret_cast<Word*>(address);
  Word before = __atomic_load_n(word, __ATOMIC_RELAXED);
  Word after;
  do after = static_cast<Word>(to_bits<T>(update(from_bits<T>(before))));
  while (!__atomic_compare_exchange_n(word, &before, after, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
  return from_bits<T>(before);
}
}  // namespace cuemu

#define CUEMU_ATOMIC(name, expression)                                            \
  template <class T>                                                              \
  T name(T* address, std::type_identity_t<T> v) {                                 \
    return cuemu::atomic_update(address, [v](T old) -> T { return expression; }); \
  }
CUEMU_ATOMIC(atomicAdd, old + v)
CUEMU_ATOMIC(atomicSub, old - v)
CUEMU_ATOMIC(atomicExch, ((void)old, v))
CUEMU_ATOMIC(atomicMax, old > v ? old : v)
CUEMU_ATOMIC(atomicMin, old < v ? old : v)
CUEMU_ATOMIC(atomicAnd, old& v)
CUEMU_ATOMIC(atomicOr, old | v)
CUEMU_ATOMIC(atomicXor, old ^ v)
template <class T>
T atomicCAS(T* address, std::type_identity_t<T> expected, std::type_identity_t<T> v) {
  return cuemu::atomic_update(address, [expected, v](T old) -> T { return old == expected ? v : old; });
}

inline void __threadfence() {}
inline void __threadfence_block() {}
inline int __popc(unsigned v) { return __builtin_popcount(v); }
inline int __ffs(int v) { return __builtin_ffs(v); }
inline int __clz(int v) { return v ? __builtin_clz(static_cast<unsigned>(v)) : 32; }
template <class T>
T __ldg(const T* address) {
  return *address;
}
