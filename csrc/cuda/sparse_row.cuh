// The entries of a row that are not zero, listed in ascending order in the shared memory of a block, and the product of
// that row with a matrix: the recurrent sums of both directions.
#pragma once

#include "compat.cuh"

namespace nt::cuda {

constexpr unsigned kWholeWarp = 0xffffffffu;

template <class T>
class SparseRow {
 public:
  static size_t bytes(int64_t n) {
    return static_cast<size_t>(n) * (sizeof(T) + sizeof(int)) + static_cast<size_t>(words(n)) * sizeof(unsigned);
  }

  // An empty list with room for n entries.
  __device__ SparseRow(unsigned char* shared, int n)
      : value_(reinterpret_cast<T*>(shared)),
        index_(reinterpret_cast<int*>(value_ + n)),
        ballots_(reinterpret_cast<unsigned*>(index_ + n)) {}

  // Called by the whole block, whose size is a multiple of 32. Entry j of the row is read by the thread whose number is
  // j modulo the size of the block, and by no other: the row needs no barrier if that thread wrote it.
  __device__ void compress(const T* row, int n) {
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, warps = blockDim.x / 32;
    for (int w = warp; w < words(n); w += warps) {
      const int j = w * 32 + lane;
      const unsigned ballot = __ballot_sync(kWholeWarp, j < n && row[j] != T(0));
      if (lane == 0) ballots_[w] = ballot;
    }
    __syncthreads();  // the ballots are complete, and nobody reads the list of the step before any more
    count_ = entries_before(words(n), lane);
    for (int w = warp; w < words(n); w += warps) {
      const int first = entries_before(w, lane);
      const unsigned ballot = ballots_[w];
      if (ballot >> lane & 1u) {
        const int j = w * 32 + lane, k = first + __popc(ballot & ((1u << lane) - 1u));
        index_[k] = j;
        value_[k] = row[j];
      }
    }
    __syncthreads();  // the list is complete
  }

  // Sum over the entries p of value[p] * matrix[p, column]: neighbouring threads read neighbouring columns.
  __device__ T times(const T* matrix, int64_t stride, int column) const {
    T sum = 0;
#pragma unroll 4
    for (int k = 0; k < count_; ++k) sum = NT_FMA(value_[k], __ldg(matrix + index_[k] * stride + column), sum);
    return sum;
  }

 private:
  static NT_HD int words(int64_t n) { return static_cast<int>((n + 31) / 32); }

  __device__ int entries_before(int word, int lane) const {
    unsigned sum = 0;
    for (int w = lane; w < word; w += 32) sum += __popc(ballots_[w]);
    return static_cast<int>(__reduce_add_sync(kWholeWarp, sum));
  }

  T* value_;
  int* index_;
  unsigned* ballots_;  // bit l of word w: entry 32 w + l is not zero
  int count_ = 0;
};

}  // namespace nt::cuda
