// Scratch memory of a run.
#pragma once

#include "driver.h"

NT_NAMESPACE_BEGIN

// Zeroed pieces of memory that live as long as this.
class Arena {
 public:
  Arena() = default;
  ~Arena() {
    while (last_ != nullptr) {
      void* before = *static_cast<void**>(last_);
      free(last_);
      last_ = before;
    }
  }
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  template <class T>
  T* take(int64_t count) {
    const size_t bytes = 64 + static_cast<size_t>(Scratch::bytes<T>(count));
    void* block = nullptr;
    if (posix_memalign(&block, 64, bytes) != 0) abort();
    __builtin_memset(block, 0, bytes);
    *static_cast<void**>(block) = last_;
    last_ = block;
    return reinterpret_cast<T*>(static_cast<char*>(block) + 64);
  }

 private:
  void* last_ = nullptr;
};

NT_NAMESPACE_END
