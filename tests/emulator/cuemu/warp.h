// Warp collectives: the last lane that arrives computes the results of all lanes in the mask.
#pragma once

#include <cstring>
#include <type_traits>

#include "block.h"

namespace cuemu {

template <class T>
uint64_t to_bits(T value) {
  static_assert(sizeof(T) <= 8);
  uint64_t bits = 0;
  memcpy(&bits, &value, sizeof value);
  return bits;
}

template <class T>
T from_bits(uint64_t bits) {
  T value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

// The lane that lane `i` reads in a shuffle.
CUEMU_NO_SANITIZE inline int shuffle_source(const Collective& call, int i) {
  const int base = i & ~(call.width - 1), inside = i & (call.width - 1);
  switch (call.op) {
    case Op::shuffle:
      return base | (call.argument & (call.width - 1));
    case Op::shuffle_up:
      return inside < call.argument ? i : i - call.argument;
    case Op::shuffle_down:
      return inside + call.argument >= call.width ? i : i + call.argument;
    default:
      return (inside ^ call.argument) >= call.width ? i : base | (inside ^ call.argument);
  }
}

CUEMU_NO_SANITIZE inline uint64_t reduce(const Thread* warp, const Collective& call) {
  const auto ordered = [&](uint64_t v) {
    return call.is_signed ? int64_t{static_cast<int32_t>(v)} : int64_t{static_cast<uint32_t>(v)};
  };
  uint64_t result = 0;
  bool first = true;
  for (unsigned i = 0; i < 32; ++i) {
    if (!(call.mask >> i & 1)) continue;
    const uint64_t v = warp[i].call.value;
    if (first)
      result = v;
    else if (call.op == Op::add)
      result += v;
    else if (call.op == Op::min)
      result = ordered(v) < ordered(result) ? v : result;
    else if (call.op == Op::max)
      result = ordered(v) > ordered(result) ? v : result;
    else if (call.op == Op::bit_and)
      result &= v;
    else if (call.op == Op::bit_or)
      result |= v;
    else if (call.op == Op::bit_xor)
      result ^= v;
    first = false;
  }
  return result;
}

CUEMU_NO_SANITIZE inline void resolve(Block* b, Thread* warp, const Collective& call) {
  unsigned ballot = 0;
  for (unsigned i = 0; i < 32; ++i)
    if ((call.mask >> i & 1) && warp[i].call.value) ballot |= 1u << i;
  const uint64_t reduced = call.op >= Op::add ? reduce(warp, call) : 0;
  for (unsigned i = 0; i < 32; ++i) {
    if (!(call.mask >> i & 1)) continue;
    Thread& t = warp[i];
    t.status = Status::ready;
    if (call.op >= Op::add) {
      t.result = reduced;
    } else if (call.op == Op::ballot) {
      t.result = ballot;
    } else if (call.op == Op::any) {
      t.result = ballot != 0;
    } else if (call.op == Op::all) {
      t.result = ballot == call.mask;
    } else if (call.op == Op::match) {
      t.result = 0;
      for (unsigned k = 0; k < 32; ++k)
        if ((call.mask >> k & 1) && warp[k].call.value == t.call.value) t.result |= 1u << k;
    } else if (call.op != Op::sync) {
      const int source = shuffle_source(t.call, static_cast<int>(i));
      if (!(call.mask >> source & 1)) {
        fail(b, "lane %u of warp %u reads lane %d, which is not in mask %08x (%s:%u)", i, t.warp, source, call.mask,
             t.site.file_name(), t.site.line());
        return;
      }
      t.result = warp[source].call.value;
    }
  }
}

CUEMU_NO_SANITIZE inline uint64_t collective(const Collective& call, const Site& site) {
  Block* b = block();
  Thread* t = b->running;
  Thread* warp = t - t->lane;
  const unsigned lanes = b->threads_in_block - t->warp * 32 < 32 ? b->threads_in_block - t->warp * 32 : 32;
  t->call = call;
  t->site = site;
  t->status = Status::in_collective;
  if (!(call.mask >> t->lane & 1)) {
    fail(b, "thread %u is not in its own mask %08x (%s:%u)", t->flat, call.mask, site.file_name(), site.line());
    leave(b);
  }
  release(&warp->call);
  bool complete = true;
  for (unsigned i = 0; i < 32; ++i) {
    if (!(call.mask >> i & 1)) continue;
    if (i >= lanes || warp[i].status == Status::finished) {
      fail(b, "mask %08x names lane %u, which has exited or does not exist (%s:%u)", call.mask, i, site.file_name(),
           site.line());
      leave(b);
    }
    // A lane in another collective may still get here; if it cannot, the scheduler reports the deadlock.
    const Collective& other = warp[i].call;
    if (warp[i].status != Status::in_collective || other.op != call.op || other.mask != call.mask) complete = false;
  }
  if (!complete) {
    wait(b);
  } else {
    resolve(b, warp, call);
    if (b->failed) leave(b);
  }
  acquire(&warp->call);
  return t->result;
}

}  // namespace cuemu
