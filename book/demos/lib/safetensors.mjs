// Files as DeepSVDD.save writes them: tensors by name, and settings.

const NUMBERS = { F32: [Float32Array, 4, "getFloat32"], U16: [Uint16Array, 2, "getUint16"] };

/** Read a safetensors file (bytes): {tensors: {name: {shape, values}}, metadata}. */
export function parse(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const length = Number(view.getBigUint64(0, true));
  const text = new TextDecoder().decode(bytes.subarray(8, 8 + length));
  const { __metadata__: kept = {}, ...entries } = JSON.parse(text);
  const tensors = {};
  for (const [name, { dtype, shape, data_offsets: [from, to] }] of Object.entries(entries)) {
    if (!(dtype in NUMBERS)) continue; // counters of batches
    const [List, size, get] = NUMBERS[dtype];
    const values = new List((to - from) / size);
    for (let k = 0; k < values.length; k++) {
      values[k] = view[get](8 + length + from + size * k, true);
    }
    tensors[name] = { shape, values };
  }
  return { tensors, metadata: kept.metadata ? JSON.parse(kept.metadata) : {} };
}
