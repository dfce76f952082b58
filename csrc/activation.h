// Output activations that are fused into the drivers: y = f(v), and dL/dv from y and dL/dy.
#pragma once

#include "arguments.h"
#include "math.h"

NT_NAMESPACE_BEGIN

template <class T>
NT_HD T activate(Activation activation, T v) {
  switch (activation) {
    case Activation::relu:
      return v > T(0) ? v : T(0);
    case Activation::tanh:
      return nt_tanh(v);
    case Activation::sigmoid:
      return nt_sigmoid(v);
    default:
      return v;
  }
}

template <class T>
NT_HD T activate_adjoint(Activation activation, T y, T grad) {
  switch (activation) {
    case Activation::relu:
      return y > T(0) ? grad : T(0);
    case Activation::tanh:
      return grad * (T(1) - y * y);
    case Activation::sigmoid:
      return grad * (y * (T(1) - y));
    default:
      return grad;
  }
}

// An activation as the template argument of models that have one inside.
template <Activation A>
struct Activate {
  template <class T>
  static NT_HD T value(T v) {
    return activate(A, v);
  }
  template <class T>
  static NT_HD T adjoint(T y, T grad) {
    return activate_adjoint(A, y, grad);
  }
};

NT_NAMESPACE_END
