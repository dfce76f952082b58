// Runs a grid, block after block.
#pragma once

#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#if defined(__SSE2__)
#include <xmmintrin.h>
#endif

#include "block.h"

struct CUstream_st;
typedef CUstream_st* cudaStream_t;

namespace cuemu {

constexpr size_t kMaxShared = 227 * 1024;  // bytes per block on compute capability 9.0

// As nvcc -ftz=true: denormals count as zero (here in double precision too, like the CPU kernels).
class FlushDenormals {
 public:
#if defined(__SSE2__)
  FlushDenormals() : saved_(_mm_getcsr()) { _mm_setcsr(saved_ | 0x8040u); }
  ~FlushDenormals() { _mm_setcsr(saved_); }

 private:
  unsigned saved_;
#else
  FlushDenormals() {}
#endif
};

// Memory for one block's threads, fresh from the system: it starts without any history for ThreadSanitizer.
class Arena {
 public:
  Arena(unsigned threads, size_t shared_bytes)
      : stacks_(options().stack_size * threads),
        threads_((sizeof(Thread) * threads + 63) / 64 * 64),
        size_(stacks_ + threads_ + shared_bytes) {
    memory_ = mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory_ == MAP_FAILED) throw std::bad_alloc();
  }
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;
  ~Arena() { munmap(memory_, size_); }
  char* stacks() { return static_cast<char*>(memory_); }
  Thread* threads() { return reinterpret_cast<Thread*>(stacks() + stacks_); }
  unsigned char* shared() { return reinterpret_cast<unsigned char*>(stacks() + stacks_ + threads_); }

 private:
  size_t stacks_, threads_, size_;
  void* memory_;
};

inline std::vector<unsigned> thread_order(unsigned threads) {
  std::vector<unsigned> order(threads);
  for (unsigned i = 0; i < threads; ++i) order[i] = options().order == 1 ? threads - 1 - i : i;
  if (options().order == 2) std::shuffle(order.begin(), order.end(), std::mt19937(options().seed));
  return order;
}

template <class Kernel>
void launch(dim3 grid, dim3 block_size, size_t shared_bytes, const Kernel& kernel) {
  const unsigned threads = block_size.x * block_size.y * block_size.z, blocks = grid.x * grid.y * grid.z;
  if (!threads || threads > 1024 || !blocks || grid.y > 65535 || grid.z > 65535 || shared_bytes > kMaxShared)
    throw std::runtime_error("cuemu: invalid launch configuration");
  const std::vector<unsigned> order = thread_order(threads);
  std::string error;
  char start_tag = 0, end_tag = 0;
  release(&start_tag);
  for (unsigned i = 0; i < blocks && error.empty(); ++i) {
    const unsigned k = options().order == 1 ? blocks - 1 - i : i;
    const auto run = [&] {
      const FlushDenormals flush;
      Arena arena(threads, shared_bytes);
      std::memset(arena.shared(), 0xff, shared_bytes);  // NaNs: what is read before it is written shows
      Block b;
      b.index = {k % grid.x, k / grid.x % grid.y, k / grid.x / grid.y};
      b.size = block_size;
      b.grid = grid;
      b.threads_in_block = threads;
      b.threads = arena.threads();
      b.dynamic_shared = arena.shared();
      b.kernel = [](const void* f) { (*static_cast<const Kernel*>(f))(); };
      b.arguments = &kernel;
      b.start_tag = &start_tag;
      b.end_tag = &end_tag;
      run_block(&b, order.data(), arena.stacks());
      if (b.failed) error = b.error;
    };
    // ThreadSanitizer forgets a thread's local storage, where static shared memory lives, when the thread ends.
    if (CUEMU_TSAN)
      std::thread(run).join();
    else
      run();
  }
  acquire(&end_tag);
  if (!error.empty()) throw std::runtime_error(error);
}

}  // namespace cuemu
