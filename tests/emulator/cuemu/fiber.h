// Fibers: stacks between which one operating system thread switches by hand. The sanitizers are told about it.
#pragma once

#include <stddef.h>
#include <stdint.h>

#if defined(__SANITIZE_THREAD__)
#include <sanitizer/tsan_interface.h>
#define CUEMU_TSAN 1
#else
#define CUEMU_TSAN 0
#endif
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#define CUEMU_ASAN 1
#else
#define CUEMU_ASAN 0
#endif
#if !defined(__x86_64__) && !defined(CUEMU_UCONTEXT)
#define CUEMU_UCONTEXT  // the portable way, slower
#endif
#if defined(CUEMU_UCONTEXT)
#include <ucontext.h>
#endif

// The emulator's own bookkeeping must not be instrumented: all fibers share it, and it works on foreign stacks.
#define CUEMU_NO_SANITIZE __attribute__((no_sanitize("thread"), no_sanitize("address"), noinline))

namespace cuemu {

struct Fiber {
  void* stack = nullptr;  // lowest address; of the scheduler's own stack it is known once a fiber has started
  size_t stack_size = 0;
  void* tsan = nullptr;
#if defined(CUEMU_UCONTEXT)
  ucontext_t context;
#else
  void* stack_pointer = nullptr;
#endif
};

#if !defined(CUEMU_UCONTEXT)
// Saves the registers that a called function must preserve on the running stack and takes them from the other one.
extern "C" void cuemu_switch_stack(void** save, void* load);
__asm__(R"(
.pushsection .text.cuemu_switch_stack,"axG",@progbits,cuemu_switch_stack,comdat
.weak cuemu_switch_stack
.type cuemu_switch_stack,@function
cuemu_switch_stack:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size cuemu_switch_stack,.-cuemu_switch_stack
.popsection
)");
#endif

// Makes a fiber that starts in `entry`, which must never return. `colour` staggers the stacks of many fibers, so that
// they do not all fall into the same sets of the cache.
CUEMU_NO_SANITIZE inline void prepare(Fiber& fiber, void (*entry)(), unsigned colour) {
#if !defined(CUEMU_UCONTEXT)
  // 56 leaves the alignment that a function sees when it has just been called.
  char* top = static_cast<char*>(fiber.stack) + fiber.stack_size - 56 - colour * 576 % 16384;
  void** sp = reinterpret_cast<void**>(top);
  *sp = nullptr;
  *--sp = reinterpret_cast<void*>(entry);
  for (int saved_registers = 6; saved_registers > 0; --saved_registers) *--sp = nullptr;
  fiber.stack_pointer = sp;
#else
  (void)colour;
  getcontext(&fiber.context);
  fiber.context.uc_stack.ss_sp = fiber.stack;
  fiber.context.uc_stack.ss_size = fiber.stack_size;
  fiber.context.uc_link = nullptr;
  makecontext(&fiber.context, entry, 0);
#endif
}

// Leaves `from` and goes on in `to`; returns when somebody switches back. A fiber that is `finished` never is.
CUEMU_NO_SANITIZE inline void switch_fiber(Fiber& from, Fiber& to, bool finished = false) {
  (void)finished;
#if CUEMU_TSAN
  __tsan_switch_to_fiber(to.tsan, __tsan_switch_to_fiber_no_sync);
#endif
#if CUEMU_ASAN
  void* fake_stack = nullptr;
  __sanitizer_start_switch_fiber(finished ? nullptr : &fake_stack, to.stack, to.stack_size);
#endif
#if !defined(CUEMU_UCONTEXT)
  cuemu_switch_stack(&from.stack_pointer, to.stack_pointer);
#else
  swapcontext(&from.context, &to.context);
#endif
#if CUEMU_ASAN
  __sanitizer_finish_switch_fiber(fake_stack, nullptr, nullptr);
#endif
}

// The first thing a fiber does: completes the switch into it, and learns where the stack of `scheduler` is.
CUEMU_NO_SANITIZE inline void complete_first_switch(Fiber& scheduler) {
  (void)scheduler;
#if CUEMU_ASAN
  const void* stack = nullptr;
  __sanitizer_finish_switch_fiber(nullptr, &stack, &scheduler.stack_size);
  scheduler.stack = const_cast<void*>(stack);
#endif
}

// What happened before `release(p)` is visible after `acquire(p)`: all the order that ThreadSanitizer sees.
inline void release(void* p) {
  (void)p;
#if CUEMU_TSAN
  __tsan_release(p);
#endif
}

inline void acquire(void* p) {
  (void)p;
#if CUEMU_TSAN
  __tsan_acquire(p);
#endif
}

}  // namespace cuemu
