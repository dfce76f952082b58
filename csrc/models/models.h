// The list of models: the name is that of the operators, the number stands in the kernel table and in network programs.
#pragma once

#include "alif.h"
#include "bellec_lif.h"
#include "izhikevich.h"
#include "li.h"
#include "lif.h"
#include "linear.h"
#include "linear_rnn.h"
#include "low_pass.h"
#include "spy_alif.h"
#include "spy_li.h"
#include "spy_lif.h"
#include "wilson_cowan.h"
#include "wilson_cowan_curbd.h"

NT_NAMESPACE_BEGIN

template <class T, class S>
using LifLpf = LowPass<T, Lif<T, S>>;
template <class T, class S>
using SpyLifLpf = LowPass<T, SpyLif<T, S>>;
template <class T, class S>
using AlifLpf = LowPass<T, Alif<T, S>>;
template <class T, class S>
using SpyAlifLpf = LowPass<T, SpyAlif<T, S>>;

NT_NAMESPACE_END

// X(operator name, model)
#define NT_MODELS(X)           \
  X(lif, Lif)                  \
  X(spy_lif, SpyLif)           \
  X(lif_lpf, LifLpf)           \
  X(spy_lif_lpf, SpyLifLpf)    \
  X(li, Li)                    \
  X(spy_li, SpyLi)             \
  X(linear, Linear)            \
  X(alif, Alif)                \
  X(spy_alif, SpyAlif)         \
  X(alif_lpf, AlifLpf)         \
  X(spy_alif_lpf, SpyAlifLpf)  \
  X(bellec_lif, BellecLif)     \
  X(izhikevich, Izhikevich)    \
  X(wilson_cowan, WilsonCowan) \
  X(linear_rnn, LinearRnn)     \
  X(wilson_cowan_curbd, WilsonCowanCurbd)

// X(name, surrogate), in the order of the numbers that Python passes
#define NT_SURROGATES(X)       \
  X(fast_sigmoid, FastSigmoid) \
  X(phi, Phi)                  \
  X(boxcar, Boxcar)            \
  X(triangle, Triangle)        \
  X(arctan, ArcTan)            \
  X(super_spike, SuperSpike)   \
  X(gaussian, Gaussian)
