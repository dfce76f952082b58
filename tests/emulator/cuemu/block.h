// One block: its threads, the barrier, and the scheduler that runs them.
#pragma once

#include <cstdio>
#include <source_location>

#include "fiber.h"

struct uint3 {
  unsigned x, y, z;
};
struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};

namespace cuemu {

using Site = std::source_location;  // of the barrier or collective in the kernel

struct Options {
  int order = 0;                 // 0: threads and blocks ascending, 1: descending, 2: threads shuffled
  unsigned seed = 1;             // of the shuffle
  unsigned dropped_barrier = 0;  // threads run through their n-th barrier (from 1): to see that a race is found
  size_t stack_size = (CUEMU_TSAN || CUEMU_ASAN) ? 256 * 1024 : 64 * 1024;
};

inline Options& options() {
  static Options instance;
  return instance;
}

enum class Status : uint8_t { ready, at_barrier, in_collective, finished };
enum class Vote : uint8_t { count, all, any };
enum class Op : uint8_t {
  none,
  sync,
  shuffle,
  shuffle_up,
  shuffle_down,
  shuffle_xor,
  ballot,
  any,
  all,
  match,
  add,
  min,
  max,
  bit_and,
  bit_or,
  bit_xor
};

struct Collective {
  Op op = Op::none;
  unsigned mask = 0;
  uint64_t value = 0;
  int argument = 0, width = 32;
  bool is_signed = false;
};

struct Thread {
  Fiber fiber;
  uint3 index;
  unsigned flat, lane, warp;  // flat: number in the block
  Status status;
  Site site;          // where it waits
  unsigned barriers;  // so far
  Vote vote;
  bool predicate;
  Collective call;
  uint64_t result;
};

struct Block {
  uint3 index;
  dim3 size, grid;
  unsigned threads_in_block = 0;
  Thread* threads = nullptr;
  Thread* running = nullptr;
  unsigned char* dynamic_shared = nullptr;
  Fiber scheduler;
  void (*kernel)(const void*) = nullptr;  // called with `arguments` by every thread
  const void* arguments = nullptr;
  void* start_tag = nullptr;  // what was done before the launch happens before every thread
  void* end_tag = nullptr;    // every thread happens before what is done after the launch; blocks stay unordered
  char barrier_tag = 0;
  int votes[3] = {};
  bool failed = false;
  char error[512] = {};
};

inline thread_local Block* current_block = nullptr;
inline Block* block() { return current_block; }

template <class... Args>
CUEMU_NO_SANITIZE void fail(Block* b, const char* format, Args... args) {
  const int n = snprintf(b->error, sizeof b->error, "cuemu: block (%u,%u,%u): ", b->index.x, b->index.y, b->index.z);
  snprintf(b->error + n, sizeof b->error - static_cast<size_t>(n), format, args...);
  b->failed = true;
}

CUEMU_NO_SANITIZE inline void wait(Block* b) { switch_fiber(b->running->fiber, b->scheduler); }

[[noreturn]] CUEMU_NO_SANITIZE inline void leave(Block* b) {
  for (;;) switch_fiber(b->running->fiber, b->scheduler, true);
}

CUEMU_NO_SANITIZE inline void run_thread() {
  Block* b = block();
  complete_first_switch(b->scheduler);
  acquire(b->start_tag);
  b->kernel(b->arguments);
  release(b->end_tag);
  b->running->status = Status::finished;
  leave(b);
}

CUEMU_NO_SANITIZE inline int barrier(Vote vote, int predicate, const Site& site) {
  Block* b = block();
  Thread* t = b->running;
  if (++t->barriers == options().dropped_barrier) return 0;
  t->status = Status::at_barrier;
  t->site = site;
  t->vote = vote;
  t->predicate = predicate != 0;
  release(&b->barrier_tag);
  wait(b);
  acquire(&b->barrier_tag);
  return b->votes[static_cast<int>(vote)];
}

// Called when no thread can go on: opens the barrier if all wait at the same one, else says what is wrong.
// Returns true when the block has finished or failed.
CUEMU_NO_SANITIZE inline bool open_barrier(Block* b) {
  unsigned finished = 0, waiting = 0, stuck = 0;
  Thread *first = nullptr, *first_stuck = nullptr, *other_stuck = nullptr;
  for (unsigned i = 0; i < b->threads_in_block; ++i) {
    Thread* t = &b->threads[i];
    if (t->status == Status::finished) {
      ++finished;
    } else if (t->status == Status::in_collective) {
      ++stuck;
      if (!first_stuck) first_stuck = t;
      if (t->warp == first_stuck->warp && t->site.line() != first_stuck->site.line()) other_stuck = t;
    } else {
      ++waiting;
      if (!first) first = t;
      if (t->site.line() != first->site.line() || t->site.column() != first->site.column() || t->vote != first->vote) {
        fail(b, "divergent barrier: thread %u waits at %s:%u, thread %u at line %u", first->flat,
             first->site.file_name(), first->site.line(), t->flat, t->site.line());
        return true;
      }
    }
  }
  if (finished == b->threads_in_block) return true;
  if (stuck) {
    const Thread* other = other_stuck ? other_stuck : first_stuck;
    fail(b,
         "deadlock: %u threads wait in warp collectives (thread %u at %s:%u with mask %08x, thread %u at line %u with "
         "mask %08x), %u at a barrier, %u have exited",
         stuck, first_stuck->flat, first_stuck->site.file_name(), first_stuck->site.line(), first_stuck->call.mask,
         other->flat, other->site.line(), other->call.mask, waiting, finished);
    return true;
  }
  if (finished) {
    fail(b, "divergent barrier: %u threads wait at %s:%u, %u have exited", waiting, first->site.file_name(),
         first->site.line(), finished);
    return true;
  }
  int count = 0;
  for (unsigned i = 0; i < b->threads_in_block; ++i) {
    count += b->threads[i].predicate;
    b->threads[i].status = Status::ready;
  }
  b->votes[static_cast<int>(Vote::count)] = count;
  b->votes[static_cast<int>(Vote::all)] = count == static_cast<int>(b->threads_in_block);
  b->votes[static_cast<int>(Vote::any)] = count > 0;
  return false;
}

// `order` names every thread once; `stacks` has room for all of them.
CUEMU_NO_SANITIZE inline void run_block(Block* b, const unsigned* order, char* stacks) {
  current_block = b;
#if CUEMU_TSAN
  b->scheduler.tsan = __tsan_get_current_fiber();
#endif
  for (unsigned i = 0; i < b->threads_in_block; ++i) {
    Thread& t = b->threads[i];
    t.index = {i % b->size.x, i / b->size.x % b->size.y, i / b->size.x / b->size.y};
    t.flat = i;
    t.lane = i % 32;
    t.warp = i / 32;
    t.status = Status::ready;
    t.barriers = 0;
    t.fiber.stack = stacks + i * options().stack_size;
    t.fiber.stack_size = options().stack_size;
#if CUEMU_TSAN
    t.fiber.tsan = __tsan_create_fiber(0);
#endif
    prepare(t.fiber, run_thread, i);
  }
  do {
    bool progress = true;
    while (progress && !b->failed) {
      progress = false;
      for (unsigned k = 0; k < b->threads_in_block && !b->failed; ++k) {
        Thread& t = b->threads[order[k]];
        if (t.status != Status::ready) continue;
        progress = true;
        b->running = &t;
        switch_fiber(b->scheduler, t.fiber);
      }
    }
  } while (!b->failed && !open_barrier(b));
#if CUEMU_TSAN
  for (unsigned i = 0; i < b->threads_in_block; ++i) __tsan_destroy_fiber(b->threads[i].fiber.tsan);
#endif
}

}  // namespace cuemu
