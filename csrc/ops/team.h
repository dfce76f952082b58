// How work is spread over torch's threads.
#pragma once

#include <torch/csrc/stable/ops.h>

#include <atomic>
#include <chrono>

#include "../cpu/kernels.h"

namespace nt {

// Runs f(begin, end, team) over `batch` samples: samples are dealt out to threads that never wait for each other; when
// there are fewer samples than threads and `shareable`, all threads work together on every sample.
template <class F>
void for_samples(int64_t batch, bool shareable, const F& f) {
  const auto threads = static_cast<int64_t>(torch::stable::get_num_threads());
  if (!shareable || batch >= threads || threads == 1) {
    torch::stable::parallel_for(0, batch, 1, [&](int64_t begin, int64_t end) { f(begin, end, Team{}); });
    return;
  }
  // Where other programs keep the processors busy, members wait for each other at every step and a team is slower than
  // one thread. After a run of which a third was waiting the next ones go alone. The bits are the same either way.
  constexpr int kAlone = 64;
  static std::atomic<int> alone{0};
  if (alone.load(std::memory_order_relaxed) > 0) {
    alone.fetch_sub(1, std::memory_order_relaxed);
    f(int64_t(0), batch, Team{});
    return;
  }
  alignas(64) int64_t barrier[kBarrier] = {};
  const auto begun = std::chrono::steady_clock::now();
  // The region may get fewer threads than asked for: everyone derives the number of members from its own chunk.
  torch::stable::parallel_for(0, threads, 1, [&](int64_t begin, int64_t end) {
    uint32_t id = 0;
    torch_get_thread_idx(&id);
    const int64_t chunk = begin == 0 ? end - begin : begin / static_cast<int64_t>(id);
    const int64_t members = (threads + chunk - 1) / chunk;
    f(int64_t(0), batch, Team{begin / chunk, members, barrier});
  });
  const std::chrono::nanoseconds passed = std::chrono::steady_clock::now() - begun;
  if (3 * barrier[kWaited] > passed.count()) alone.store(kAlone, std::memory_order_relaxed);
}

}  // namespace nt
