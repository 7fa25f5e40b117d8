// A small Deep SVDD network, and its training, in plain numbers.
//
// The gradients are written by hand: three matrices need forty lines for them, and the
// tests compare the steps with PyTorch's. TensorFlow.js (core and CPU backend 4.22: 282
// kB minified) or jax-js (0.1.25: 330 kB) would bring fifty times this file.

export const WIDTHS = [2, 32, 16, 2];

/** Random numbers of a normal distribution, the same for the same seed. */
export function normals(seed) {
  let state = (seed + 1) * 0x9e3779b9;
  const uniform = () => {
    // mulberry32
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
  return () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
}

/** Layers with Kaiming's normal initialization, as in chapter 4; bias terms are zero. */
export function layersOf(seed, bias, widths = WIDTHS) {
  const next = normals(seed);
  return widths.slice(1).map((outputs, k) => {
    const inputs = widths[k];
    const w = Float64Array.from({ length: outputs * inputs }, () => next() * Math.sqrt(2 / inputs));
    return { inputs, outputs, w, b: bias ? new Float64Array(outputs) : null };
  });
}

const SLOPE = 0.01;
/** Activations, and their derivatives, from the output of the activation. */
const ACTIVATIONS = {
  leaky: { of: (z) => (z > 0 ? z : SLOPE * z), slope: (a) => (a > 0 ? 1 : SLOPE) },
  sigmoid: { of: (z) => 1 / (1 + Math.exp(-z)), slope: (a) => a * (1 - a) },
};

/** Outputs of all layers for n samples x (n · 2, row by row); the last are the φ(x). */
export function forward(layers, activation, x) {
  const outputs = [x];
  const { of } = ACTIVATIONS[activation];
  layers.forEach(({ inputs, outputs: width, w, b }, l) => {
    const before = outputs[l];
    const n = before.length / inputs;
    const after = new Float64Array(n * width);
    const last = l === layers.length - 1;
    for (let s = 0; s < n; s++) {
      for (let o = 0; o < width; o++) {
        let sum = b ? b[o] : 0;
        for (let i = 0; i < inputs; i++) sum += w[o * inputs + i] * before[s * inputs + i];
        after[s * width + o] = last ? sum : of(sum);
      }
    }
    outputs.push(after);
  });
  return outputs;
}

/** Gradients of a loss by weights and bias terms, from that by the representations. */
function backward(layers, activation, outputs, byOutput) {
  const { slope } = ACTIVATIONS[activation];
  const gradients = [];
  let dz = byOutput;
  for (let l = layers.length - 1; l >= 0; l--) {
    const { inputs, outputs: width, w, b } = layers[l];
    const before = outputs[l];
    const n = before.length / inputs;
    const gw = new Float64Array(w.length);
    const gb = b && new Float64Array(width);
    const dx = new Float64Array(before.length);
    for (let s = 0; s < n; s++) {
      for (let o = 0; o < width; o++) {
        const d = dz[s * width + o];
        if (gb) gb[o] += d;
        for (let i = 0; i < inputs; i++) {
          gw[o * inputs + i] += d * before[s * inputs + i];
          dx[s * inputs + i] += d * w[o * inputs + i];
        }
      }
    }
    gradients.unshift({ w: gw, b: gb });
    if (l > 0) dz = dx.map((d, k) => d * slope(before[k]));
  }
  return gradients;
}

/** Squared distances of representations z (n · 2) from c. */
export const squaredDistances = (z, c) =>
  Float64Array.from({ length: z.length / 2 }, (_, s) =>
    (z[2 * s] - c[0]) ** 2 + (z[2 * s + 1] - c[1]) ** 2);

/** The mean of representations, coordinates nearer to zero than 0.1 moved to ±0.1. */
export function initialCenter(z) {
  const n = z.length / 2;
  return Float64Array.from([0, 1], (axis) => {
    let mean = 0;
    for (let s = 0; s < n; s++) mean += z[2 * s + axis] / n;
    return Math.abs(mean) < 0.1 ? (mean < 0 ? -0.1 : 0.1) : mean;
  });
}

/** R² that is best for given distances: their (1 − ν)-quantile, as a sample has it. */
export function bestSquaredRadius(d2, nu) {
  const n = d2.length;
  const k = Math.max(n - Math.floor(nu * n + 1e-9), 1);
  return Float64Array.from(d2).sort()[k - 1];
}

/** Root mean squared distance of representations from their own mean, over ‖c‖. */
export function relativeSpread(z, c) {
  const n = z.length / 2;
  let sum = 0;
  for (const axis of [0, 1]) {
    let [mean, square] = [0, 0];
    for (let s = 0; s < n; s++) mean += z[2 * s + axis] / n;
    for (let s = 0; s < n; s++) square += (z[2 * s + axis] - mean) ** 2 / n;
    sum += square;
  }
  return Math.sqrt(sum) / Math.hypot(...c);
}

const [BETA1, BETA2, EPS] = [0.9, 0.999, 1e-8];

/** Adam as in PyTorch, where weight decay adds λW to the gradient. */
function adam(rate) {
  const moments = new Map();
  let step = 0;
  return {
    begin: () => (step += 1),
    update(values, gradient, decay) {
      if (!moments.has(values)) {
        moments.set(values, [new Float64Array(values.length), new Float64Array(values.length)]);
      }
      const [m, v] = moments.get(values);
      const [fix1, fix2] = [1 - BETA1 ** step, Math.sqrt(1 - BETA2 ** step)];
      for (let k = 0; k < values.length; k++) {
        const g = gradient[k] + decay * values[k];
        m[k] += (1 - BETA1) * (g - m[k]);
        v[k] = BETA2 * v[k] + (1 - BETA2) * g * g;
        values[k] -= ((rate / fix1) * m[k]) / (Math.sqrt(v[k]) / fix2 + EPS);
      }
    },
  };
}

/**
 * Training of `layers` from a center c: each `step(x)` is one of Adam's on all samples x.
 *
 * `how` has `activation` ("leaky" or "sigmoid"), `objective` ("one-class" or
 * "soft-boundary") with `nu`, `freeCenter`, `decay` (of weights alone) and `rate`. With
 * the soft boundary, R is the best one for the present distances at every step.
 */
export function training(layers, c, how) {
  const optimizer = adam(how.rate);
  return {
    step(x) {
      const outputs = forward(layers, how.activation, x);
      const z = outputs.at(-1);
      const d2 = squaredDistances(z, c);
      const n = d2.length;
      const soft = how.objective === "soft-boundary";
      const r2 = soft ? bestSquaredRadius(d2, how.nu) : 0;
      const share = soft ? 1 / (how.nu * n) : 1 / n;
      let loss = r2;
      const byOutput = new Float64Array(z.length);
      const byCenter = new Float64Array(2);
      for (let s = 0; s < n; s++) {
        if (soft && d2[s] <= r2) continue;
        loss += share * (d2[s] - r2);
        for (const axis of [0, 1]) {
          const g = 2 * share * (z[2 * s + axis] - c[axis]);
          byOutput[2 * s + axis] = g;
          byCenter[axis] -= g;
        }
      }
      const gradients = backward(layers, how.activation, outputs, byOutput);
      optimizer.begin();
      layers.forEach((layer, l) => {
        optimizer.update(layer.w, gradients[l].w, how.decay);
        if (layer.b) optimizer.update(layer.b, gradients[l].b, 0);
      });
      if (how.freeCenter) optimizer.update(c, byCenter, 0);
      return loss;
    },
  };
}

/** Train some steps from given weights: losses, weights, center at the end; for tests. */
export function steps(weights, biases, center, x, how, count) {
  const layers = weights.map((w, l) => ({
    inputs: WIDTHS[l],
    outputs: WIDTHS[l + 1],
    w: Float64Array.from(w),
    b: biases ? Float64Array.from(biases[l]) : null,
  }));
  const c = Float64Array.from(center);
  const { step } = training(layers, c, how);
  const losses = Array.from({ length: count }, () => step(Float64Array.from(x)));
  return { losses, weights: layers.map(({ w }) => w), biases: layers.map(({ b }) => b), center: c };
}
