#include "memory.h"

#include <pthread.h>
#include <torch/csrc/stable/ops.h>

#include <cstdlib>
#include <mutex>
#include <stdexcept>
#include <string>
#include <vector>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace nt {

namespace {

using torch::stable::Tensor;

constexpr size_t kLeastPooled = size_t{1} << 20, kLargePage = size_t{2} << 20;

size_t limit_from_environment() {
  const char* text = std::getenv("NEUROTORCH_POOL_MB");
  if (text == nullptr || *text == '\0') return size_t{1024} << 20;
  char* end = nullptr;
  const unsigned long long value = std::strtoull(text, &end, 10);
  if (*text < '0' || *text > '9' || *end != '\0' || value > (1ull << 40))
    throw std::invalid_argument(std::string("NEUROTORCH_POOL_MB: expected a number of MiB, got '") + text + "'");
  return static_cast<size_t>(value) << 20;
}

struct Block {
  void* data = nullptr;
  size_t size = 0;
};

class Pool {
 public:
  Pool() : limit_(limit_from_environment()) {}

  Block take(size_t bytes) {
    const size_t unit = bytes < 2 * kLargePage ? kLeastPooled / 16 : kLargePage;
    const size_t size = (bytes + unit - 1) / unit * unit;
    const std::lock_guard<std::mutex> lock(mutex_);
    size_t best = unused_.size();
    for (size_t i = 0; i < unused_.size(); ++i) {
      const size_t found = unused_[i].size;
      if (found < size || found > size + size / 4) continue;
      if (best == unused_.size() || found < unused_[best].size) best = i;
    }
    if (best == unused_.size()) return fresh(size);
    const Block block = unused_[best];
    unused_.erase(unused_.begin() + static_cast<std::ptrdiff_t>(best));
    cached_ -= block.size;
    return block;
  }

  void give(const Block& block) {
    if (block.size > limit_) return std::free(block.data);  // smaller ones need not go for it
    const std::lock_guard<std::mutex> lock(mutex_);
    unused_.push_back(block);
    cached_ += block.size;
    shrink(limit_);
  }

  int64_t release() {
    const std::lock_guard<std::mutex> lock(mutex_);
    const size_t before = cached_;
    shrink(0);
    return static_cast<int64_t>(before);
  }

  void lock() { mutex_.lock(); }
  void unlock() { mutex_.unlock(); }

 private:
  static Block fresh(size_t size) {
    void* data = nullptr;
    const bool is_large = size % kLargePage == 0;
    if (posix_memalign(&data, is_large ? kLargePage : 4096, size) != 0)
      throw std::runtime_error("no memory for a buffer of " + std::to_string(size) + " bytes");
#if defined(__linux__)
    // Where the system does not grant large pages, nothing changes.
    if (is_large) madvise(data, size, MADV_HUGEPAGE);
#endif
    return {data, size};
  }

  void shrink(size_t limit) {
    size_t gone = 0;
    for (; gone < unused_.size() && cached_ > limit; ++gone) {
      cached_ -= unused_[gone].size;
      std::free(unused_[gone].data);
    }
    unused_.erase(unused_.begin(), unused_.begin() + static_cast<std::ptrdiff_t>(gone));
  }

  const size_t limit_;
  std::mutex mutex_;
  std::vector<Block> unused_;  // in the order in which they were given back
  size_t cached_ = 0;
};

// Never destroyed: tensors may outlive everything else in the process. A fork waits until nobody holds the pool.
Pool& pool() {
  static Pool* const only = [] {
    auto* made = new Pool;
    pthread_atfork([] { pool().lock(); }, [] { pool().unlock(); }, [] { pool().unlock(); });
    return made;
  }();
  return *only;
}

}  // namespace

Tensor pooled_empty(const Tensor& like, const std::vector<int64_t>& sizes) {
  int64_t count = 1;
  std::vector<int64_t> strides(sizes.size());
  for (size_t d = sizes.size(); d-- > 0; count *= sizes[d]) strides[d] = count;
  const size_t bytes = static_cast<size_t>(count) * static_cast<size_t>(like.element_size());
  if (bytes < kLeastPooled) return torch::stable::new_empty(like, {sizes.data(), sizes.size()});
  const Block block = pool().take(bytes);
  return torch::stable::from_blob(block.data, {sizes.data(), sizes.size()}, {strides.data(), strides.size()},
                                  like.device(), like.scalar_type(), [block](void*) { pool().give(block); });
}

int64_t release_memory() { return pool().release(); }

}  // namespace nt
