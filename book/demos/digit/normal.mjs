// What the page knows of a normal digit: the detector, its scores of new images of this
// digit, and training images. The three comes with the program; each other digit is a
// script of its own (part.mjs), which is loaded when the reader chooses it.
import { decode } from "../lib/steps.mjs";
import * as network from "./network.mjs";

export const NAMES = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"];
const MOST = 40; // times the threshold: the right end of the axis of scores
const BINS = 40;

/** A digit's name for many of it. */
export const plural = (digit) => `${NAMES[digit]}${digit === 6 ? "es" : "s"}`;

/** Make a normal digit of a part's content. */
export function normalDigit({ data, sheet, model }) {
  const detector = network.detector(model);
  const scores = decode(data.normal, data.unit);
  const [low, high] = [0.8 * scores[0], MOST * detector.threshold];
  const edge = (k) => low * (high / low) ** (k / BINS);
  const counts = new Array(BINS).fill(0);
  for (const score of scores) {
    const k = Math.floor((BINS * Math.log(score / low)) / Math.log(high / low));
    counts[Math.min(Math.max(k, 0), BINS - 1)] += 1;
  }
  const { digit, columns, chosen } = data;
  // `shown` are the training images of the sheet, once they have been decoded.
  return { digit, detector, scores, low, high, edge, counts, sheet, columns, n: chosen.length, shown: [] };
}

/** Load the script of a digit; rejects if it cannot be had. */
export function load(digit, program) {
  return new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = new URL(`digit/${digit}.js`, program).href;
    script.addEventListener("demo-part", ({ detail }) => resolve(normalDigit(detail)));
    script.addEventListener("load", () => script.remove());
    script.addEventListener("error", () => {
      script.remove();
      reject(new Error(`${script.src} could not be loaded`));
    });
    document.head.append(script);
  });
}
