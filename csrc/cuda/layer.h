// Host interface of the CUDA drivers of one layer over a whole sequence. Torch-free; all pointers are device memory.
#pragma once

#include "../arguments.h"

struct CUstream_st;  // cudaStream_t is a pointer to it

namespace nt::cuda {

// Whether there are CUDA kernels of this model with this activation.
bool supported(int64_t model, Activation activation);

// Put the kernel on the stream of the current device. False, and nothing launched, where `supported` is false or a
// block's shared memory cannot hold the list of presynaptic entries (12 bytes a neuron in float64, 8 in float32: from
// 8,000 neurons on the smallest device to 28,000 on the largest). The caller asks cudaGetLastError after the launch.
// Every sum has the order of the CPU kernels, so the results have the same bits as theirs on x86-64-v3, v4 and aarch64
// (float32 denormals count as zero with -ftz=true, float64 denormals do not).
template <class T>
bool layer_forward(const LayerForward<T>& a, CUstream_st* stream);
template <class T>
bool layer_backward(const LayerBackward<T>& a, CUstream_st* stream);

}  // namespace nt::cuda
