// The quick start's detector: preprocessing, the network φ, the distance from c.
//
// Two convolutions and a matrix with 7,272 weights: the code below is two kilobytes, and
// agrees with PyTorch to a millionth of the score. A runtime for any network, such as
// onnxruntime-web, would bring 14 MB for the same numbers.
import { parse } from "../lib/safetensors.mjs";

export const SIDE = 28;
const KERNEL = 5;
const PAD = 2;
const EPS = 1e-4; // of the batch normalization
const SLOPE = 0.01; // of the leaky ReLU

/** Contrast normalization as in the package: zero mean, mean absolute deviation 1. */
export function normalizeContrast(image) {
  const n = image.length;
  let mean = 0;
  let most = 0;
  for (const v of image) {
    mean += v / n;
    most = Math.max(most, Math.abs(v));
  }
  let contrast = 0;
  for (const v of image) contrast += Math.abs(v - mean) / n;
  if (contrast <= 1e-6 * most) contrast = Infinity; // an image without contrast is zero
  return Float64Array.from(image, (v) => (v - mean) / contrast);
}

/** A 5×5 convolution of maps (channel, row, column), zero outside; shape stays. */
function convolve(x, side, { shape: [out, channels], values }) {
  const wide = side + 2 * PAD;
  const padded = new Float64Array(channels * wide * wide);
  for (let c = 0; c < channels; c++) {
    for (let r = 0; r < side; r++) {
      for (let k = 0; k < side; k++) {
        padded[(c * wide + r + PAD) * wide + k + PAD] = x[(c * side + r) * side + k];
      }
    }
  }
  const y = new Float64Array(out * side * side);
  let next = 0;
  for (let o = 0; o < out; o++) {
    for (let c = 0; c < channels; c++) {
      for (let i = 0; i < KERNEL; i++) {
        for (let j = 0; j < KERNEL; j++) {
          const weight = values[next++];
          for (let r = 0; r < side; r++) {
            let from = (c * wide + r + i) * wide + j;
            let to = (o * side + r) * side;
            for (const end = to + side; to < end; ) y[to++] += weight * padded[from++];
          }
        }
      }
    }
  }
  return y;
}

/** 2×2 maximum, batch normalization by its running statistics, leaky ReLU. */
function poolNormActivate(x, side, mean, variance) {
  const half = side / 2;
  const y = new Float64Array(mean.length * half * half);
  let next = 0;
  for (let c = 0; c < mean.length; c++) {
    const scale = 1 / Math.sqrt(variance[c] + EPS);
    for (let r = 0; r < half; r++) {
      for (let k = 0; k < half; k++) {
        const a = (c * side + 2 * r) * side + 2 * k;
        const top = Math.max(x[a], x[a + 1], x[a + side], x[a + side + 1]);
        const v = (top - mean[c]) * scale;
        y[next++] = v < 0 ? SLOPE * v : v;
      }
    }
  }
  return y;
}

/** The detector of a file: {score, represent} of images of 28 × 28 numbers, in a row. */
export function detector(bytes) {
  const { tensors, metadata } = parse(bytes);
  const part = (name) => tensors[`members.0.${name}`];
  const convs = [0, 1].map((k) => part(`encoder.convs.${k}.weight`));
  const norms = [0, 1].map((k) =>
    ["mean", "var"].map((kind) => part(`encoder.norms.${k}.running_${kind}`).values),
  );
  const head = part("encoder.head.weight");
  const center = part("center").values;
  const [low] = tensors["preprocessor.minimum"].values;
  const [high] = tensors["preprocessor.maximum"].values;

  function represent(image) {
    let x = normalizeContrast(image).map((v) => (v - low) / (high - low));
    let side = SIDE;
    convs.forEach((conv, k) => {
      x = poolNormActivate(convolve(x, side, conv), side, ...norms[k]);
      side /= 2;
    });
    const [rows, columns] = head.shape;
    const z = new Float64Array(rows);
    for (let r = 0, next = 0; r < rows; r++) {
      for (let c = 0; c < columns; c++) z[r] += head.values[next++] * x[c];
    }
    return z;
  }

  return {
    represent,
    score: (image) => distance(represent(image), center),
    threshold: metadata.threshold,
  };
}

/** Squared distance of two representations. */
export function distance(a, b) {
  let sum = 0;
  for (let k = 0; k < a.length; k++) sum += (a[k] - b[k]) ** 2;
  return sum;
}

/** Scores of several images: for tests. */
export function scores(bytes, images) {
  const { score } = detector(bytes);
  return images.map((image) => score(image));
}

const PATCH = 5;
export const STEP = 2;
export const PATCHES = SIDE / STEP; // a side of the occlusion map

/**
 * How much the score falls if a patch of 5 × 5 pixels is painted black: above 0 where
 * the ink makes the image odd, below 0 where it makes it a three. Yields the map's place
 * and the fall, one patch after the other, for pages that have to stay at work.
 */
export function* occlusion(image, score) {
  const whole = score(image);
  for (let r = 0; r < PATCHES; r++) {
    for (let c = 0; c < PATCHES; c++) {
      const covered = Float64Array.from(image);
      let ink = 0;
      for (let i = r * STEP - 1; i < r * STEP - 1 + PATCH; i++) {
        for (let j = c * STEP - 1; j < c * STEP - 1 + PATCH; j++) {
          if (i < 0 || j < 0 || i >= SIDE || j >= SIDE) continue;
          ink += covered[i * SIDE + j];
          covered[i * SIDE + j] = 0;
        }
      }
      yield [r * PATCHES + c, ink ? whole - score(covered) : 0];
    }
  }
}

/** Of n other scores, the share that is at least this high, this one counted among them. */
export function pValue(normal, score) {
  let above = 0;
  for (const other of normal) above += other >= score;
  return (1 + above) / (1 + normal.length);
}
