// Shared by the CPU kernels (compiled once per instruction set), the CUDA kernels and the emulator. Torch-free.
#pragma once

#include <cstdint>

// Every instruction set lives in its own namespace, so that the linker can never mix code of two of them.
#if !defined(NT_ISA_NAME)
#define NT_ISA_NAME host
#endif
#define NT_NAMESPACE_BEGIN \
  namespace nt {           \
  inline namespace NT_ISA_NAME {
#define NT_NAMESPACE_END \
  }                      \
  }

#if defined(__CUDACC__)
#define NT_HD __host__ __device__ __forceinline__
#else
#define NT_HD inline __attribute__((always_inline))
#endif

NT_NAMESPACE_BEGIN

// a * b + c, rounded once where the instruction set has a fused multiply-add. The baseline build multiplies and
// adds: a software fma there would be 33 times slower. All other products and sums stay separate
// (-ffp-contract=off, -fmad=false), so CPU, emulated CUDA and CUDA give the same bits.
#if defined(__CUDA_ARCH__) || defined(__FMA__) || defined(__aarch64__) || defined(NT_CUDA_EMULATE)
NT_HD float NT_FMA(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
NT_HD double NT_FMA(double a, double b, double c) { return __builtin_fma(a, b, c); }
#else
NT_HD float NT_FMA(float a, float b, float c) { return a * b + c; }
NT_HD double NT_FMA(double a, double b, double c) { return a * b + c; }
#endif

NT_NAMESPACE_END
