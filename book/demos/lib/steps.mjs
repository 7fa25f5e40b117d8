/** Undo a file's form of sorted scores: differences of successive ones, in a unit. */
export function decode(steps, unit) {
  let sum = 0;
  return Float64Array.from(steps, (step) => (sum += step) * unit);
}
