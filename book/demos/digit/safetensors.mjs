// The detector's file, as DeepSVDD.save writes it: tensors by name, and settings.

/** Read a safetensors file (bytes): {tensors: {name: {shape, values}}, metadata}. */
export function parse(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const length = Number(view.getBigUint64(0, true));
  const text = new TextDecoder().decode(bytes.subarray(8, 8 + length));
  const { __metadata__: kept = {}, ...entries } = JSON.parse(text);
  const tensors = {};
  for (const [name, { dtype, shape, data_offsets: [from, to] }] of Object.entries(entries)) {
    if (dtype !== "F32") continue; // counters of batches
    const values = new Float32Array((to - from) / 4);
    for (let k = 0; k < values.length; k++) {
      values[k] = view.getFloat32(8 + length + from + 4 * k, true);
    }
    tensors[name] = { shape, values };
  }
  return { tensors, metadata: kept.metadata ? JSON.parse(kept.metadata) : {} };
}
