// A net's forward pass on one image, layer by layer, as PyTorch computes it in eval mode. Weights
// are the net's own float32 numbers, sums are float64. What flows is { data, shape }, the shape
// being [channels, height, width] and the data one flat array in that order.

function floats(base64) {
  return new Float32Array(Uint8Array.from(atob(base64), (c) => c.charCodeAt(0)).buffer);
}

const LAYERS = {
  // x * weight + bias for each channel, or with one weight for all: normalisation, BatchNorm
  scale({ data, shape }, { weight, bias }) {
    const area = weight.length > 1 ? shape[1] * shape[2] : data.length;
    for (let i = 0; i < data.length; i++) {
      const channel = Math.floor(i / area);
      data[i] = data[i] * weight[channel] + bias[channel];
    }
    return { data, shape };
  },

  // Each place's patch, with zeros beyond the edge, times each filter.
  conv2d({ data, shape: [channels, height, width] }, { weight, bias, out, size, stride, padding }) {
    const rows = Math.floor((height + 2 * padding - size) / stride) + 1;
    const columns = Math.floor((width + 2 * padding - size) / stride) + 1;
    const result = new Float64Array(out * rows * columns);
    const patch = new Float64Array(channels * size * size);
    for (let place = 0; place < rows * columns; place++) {
      const top = Math.floor(place / columns) * stride - padding;
      const left = (place % columns) * stride - padding;
      let at = 0;
      for (let channel = 0; channel < channels; channel++) {
        for (let y = top; y < top + size; y++) {
          for (let x = left; x < left + size; x++) {
            const inside = y >= 0 && y < height && x >= 0 && x < width;
            patch[at++] = inside ? data[(channel * height + y) * width + x] : 0;
          }
        }
      }
      dots(patch, weight, bias, out, result, place, rows * columns);
    }
    return { data: result, shape: [out, rows, columns] };
  },

  relu({ data, shape }) {
    for (let i = 0; i < data.length; i++) if (data[i] < 0) data[i] = 0;
    return { data, shape };
  },

  maxpool2d(image, { size }) {
    const cells = (n) => Array.from({ length: Math.floor(n / size) }, (_, i) => [i * size, (i + 1) * size]);
    return pooled(image, cells, (sum, most) => most);
  },

  // "out" x "out" cells that cover the image; neighbours overlap where it can't be divided evenly.
  avgpool2d(image, { out }) {
    const edge = (n) => (_, i) => [Math.floor((i * n) / out), Math.ceil(((i + 1) * n) / out)];
    return pooled(image, (n) => Array.from({ length: out }, edge(n)), (sum, most, count) => sum / count);
  },

  flatten: ({ data }) => ({ data, shape: [data.length, 1, 1] }),

  linear({ data }, { weight, bias, out }) {
    const result = new Float64Array(out);
    dots(data, weight, bias, out, result, 0, 1);
    return { data: result, shape: [out, 1, 1] };
  },
};

// result[from + o * step] = weight's row o times values, plus bias[o]; four rows at a time, for
// then each value is read once for four sums.
function dots(values, weight, bias, out, result, from, step) {
  const n = values.length;
  let o = 0;
  for (; o + 3 < out; o += 4) {
    const [first, second, third, fourth] = [o * n, (o + 1) * n, (o + 2) * n, (o + 3) * n];
    let a = bias[o];
    let b = bias[o + 1];
    let c = bias[o + 2];
    let d = bias[o + 3];
    for (let i = 0; i < n; i++) {
      const v = values[i];
      a += v * weight[first + i];
      b += v * weight[second + i];
      c += v * weight[third + i];
      d += v * weight[fourth + i];
    }
    result[from + o * step] = a;
    result[from + (o + 1) * step] = b;
    result[from + (o + 2) * step] = c;
    result[from + (o + 3) * step] = d;
  }
  for (; o < out; o++) {
    let sum = bias[o];
    for (let i = 0; i < n; i++) sum += values[i] * weight[o * n + i];
    result[from + o * step] = sum;
  }
}

// One number for each cell of a grid: "cells" says where they begin and end along a side, "into"
// makes it of a cell's sum, maximum and number of pixels.
function pooled({ data, shape: [channels, height, width] }, cells, into) {
  const [rows, columns] = [cells(height), cells(width)];
  const result = new Float64Array(channels * rows.length * columns.length);
  let at = 0;
  for (let channel = 0; channel < channels; channel++) {
    for (const [top, bottom] of rows) {
      for (const [left, right] of columns) {
        let [sum, most] = [0, -Infinity];
        for (let y = top; y < bottom; y++) {
          for (let x = left; x < right; x++) {
            const v = data[(channel * height + y) * width + x];
            sum += v;
            if (v > most) most = v;
          }
        }
        result[at++] = into(sum, most, (bottom - top) * (right - left));
      }
    }
  }
  return { data: result, shape: [channels, rows.length, columns.length] };
}

// A model's function from an image (flat, in [0, 1]) to its logits.
function net(layers, base64, shape) {
  const weights = floats(base64);
  let used = 0;
  const loaded = layers.map((layer) => {
    const own = { ...layer };
    for (const [name, size] of Object.entries(layer.sizes)) {
      own[name] = Float64Array.from(weights.subarray(used, (used += size)));
    }
    return own;
  });
  const first = (image) => ({ data: Float64Array.from(image), shape });
  return (image) => loaded.reduce((x, layer) => LAYERS[layer.kind](x, layer), first(image)).data;
}

function softmax(logits) {
  const most = Math.max(...logits);
  const powers = Array.from(logits, (z) => Math.exp(z - most));
  const sum = powers.reduce((a, b) => a + b, 0);
  return powers.map((p) => p / sum);
}
