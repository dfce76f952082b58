// Large buffers that are used again: the pages of fresh memory cost more than the arithmetic that fills them.
#pragma once

#include <torch/csrc/stable/tensor.h>

#include <cstdint>
#include <vector>

namespace nt {

// A contiguous tensor with undefined content and the dtype of `like`, on the CPU. From a MiB on its memory
// goes back to the pool with the last reference to it, whichever thread drops that.
torch::stable::Tensor pooled_empty(const torch::stable::Tensor& like, const std::vector<int64_t>& sizes);

// Hands unused memory of the pool back to the system; returns how many bytes that were. The pool also does so by itself
// beyond NEUROTORCH_POOL_MB (1024; 0 keeps nothing), the longest unused first.
int64_t release_memory();

}  // namespace nt
