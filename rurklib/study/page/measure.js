// Noise, counts, and what they come to: the package's definitions once more (rurklib/perturb.py,
// rurklib/residual/statistics.py), which tests hold against it.

// Standard normal numbers of copy number "draw" of a sample: the same every time, at every tau.
function noise(seed, sample, draw, length) {
  let state = seed;
  for (const part of [sample, draw]) {
    state = Math.imul(state ^ (part + 1), 0x9e3779b1);
    state = Math.imul(state ^ (state >>> 15), 0x85ebca6b) ^ (state >>> 13);
  }
  const uniform = () => {
    // mulberry32
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
  const normal = () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
  return Float32Array.from({ length }, normal);
}

// x + tau * z, clipped to [0, 1].
function noisyCopy(image, tau, z) {
  return image.map((v, i) => Math.min(1, Math.max(0, v + tau * z[i])));
}

const sum = (values) => values.reduce((a, b) => a + b, 0);
const mean = (values) => sum(values) / values.length;
const sd = (values) => {
  const middle = mean(values);
  return Math.sqrt(sum(values.map((v) => (v - middle) ** 2)) / (values.length - 1));
};

// How often each model was right, copy after copy; one copy of each of n samples is a draw.
class Tally {
  constructor(retrained, n) {
    this.retrained = retrained; // whether each model is a re-trained one
    this.n = n;
    this.hits = retrained.map(() => []); // [model][draw]: right answers in that draw, of n
    this.totals = retrained.map(() => []); // the same, all draws so far together
    this.influences = []; // kept until more is drawn
    this.mixed = Infinity; // from this draw on some sample was known and missed by one re-trained
  }

  get draws() {
    return this.hits[0].length;
  }

  // right[model][sample]
  add(right) {
    this.first ??= right;
    const changed = (m) => this.retrained[m] && right[m].some((v, s) => v !== this.first[m][s]);
    if (right.some((_, m) => changed(m))) this.mixed = Math.min(this.mixed, this.draws + 1);
    right.forEach((own, m) => {
      const found = sum(own.map(Number));
      this.totals[m].push((this.totals[m].at(-1) ?? 0) + found);
      this.hits[m].push(found);
    });
    this.influences = [];
  }

  // The re-trained models that a model is compared with: not itself.
  others(model) {
    return this.retrained.flatMap((is, k) => (is && k !== model ? [k] : []));
  }

  share(model, draws = this.draws) {
    return this.totals[model][draws - 1] / (draws * this.n);
  }

  // Residual knowledge: the model's share over the mean re-trained model's (ratio_of_means).
  ratio(model, draws = this.draws) {
    const rest = mean(this.others(model).map((k) => this.share(k, draws)));
    return rest > 0 ? this.share(model, draws) / rest : NaN;
  }

  // What each draw adds to the ratio's error, by the delta method, [draw].
  influence(model) {
    const computed = () => {
      const others = this.others(model);
      const rest = this.hits[model].map((_, d) => mean(others.map((k) => this.hits[k][d])));
      const level = mean(rest);
      const scale = mean(this.hits[model]) / level;
      return this.hits[model].map((own, d) => (own - scale * rest[d]) / level);
    };
    return (this.influences[model] ??= computed());
  }

  // Half the 95 % Monte Carlo interval of the ratio: what other copies
  // could still do to it, and nothing else. With "end", that of its distance from that model's
  // ratio: both are on the same copies, and what these do to both alike cancels.
  halfWidth(model, end) {
    const { draws, n } = this;
    const level = mean(this.others(model).map((k) => this.share(k)));
    if (!level || draws < 2) return Infinity;
    const own = this.influence(model);
    const errors = end === undefined ? own : own.map((v, d) => v - this.influence(end)[d]);
    return Math.max((quantile(draws - 1) * sd(errors)) / Math.sqrt(draws), 3 / (draws * n * level));
  }

  // The range of the re-trained models' own ratios, each against the others (the retrain band), and
  // the two models at its ends.
  band(draws = this.draws) {
    const sorted = this.others(-1).sort((a, b) => this.ratio(a, draws) - this.ratio(b, draws));
    const [lowest, highest] = [sorted[0], sorted.at(-1)];
    return { low: this.ratio(lowest, draws), high: this.ratio(highest, draws), lowest, highest };
  }

  // Where a further re-trained model would be with probability 95 %: a t prediction on log-odds
  // (ResidualKnowledge.rows). "t" is the quantile for K - 1 degrees of freedom.
  prediction(t, draws = this.draws) {
    const { n } = this;
    const shares = this.others(-1).map((k) => this.share(k, draws));
    const odds = shares.map((q) => Math.log(n * q + 0.5) - Math.log(n - n * q + 0.5));
    const q = mean(shares);
    const p = (n * q + 0.5) / (n + 1);
    const rare = n * draws * Math.min(q, 1 - q) < 5 || draws < this.mixed;
    const spread = Math.max(sd(odds), rare ? 0.5 / ((n + 1) * p * (1 - p)) : 0);
    const half = t * spread * Math.sqrt(1 + 1 / odds.length);
    const ratio = (o) => Math.min(1, Math.max(0, ((n + 1) / (1 + Math.exp(-o)) - 0.5) / n)) / q;
    return { low: ratio(mean(odds) - half), high: ratio(mean(odds) + half) };
  }

  // "above", "inside" or "below" the band, or "" as long as other copies could change that, and how
  // many copies "more" should then tell: errors shrink with the root of their number.
  place(model) {
    const { low, high, lowest, highest } = this.band();
    const apart = (edge, end) => (this.ratio(model) - edge) / this.halfWidth(model, end);
    const [over, under] = [apart(high, highest), apart(low, lowest)];
    const side = over > 1 ? "above" : under < -1 ? "below" : over < -1 && under > 1 ? "inside" : "";
    const nearest = Math.min(Math.abs(over), Math.abs(under));
    return { side: this.draws < LEAST ? "" : side, more: this.draws * (1 / nearest ** 2 - 1) };
  }
}

const LEAST = 10; // copies before anything is said

// The 97.5 % quantile of Student's t (Cornish and Fisher's expansion; 1 % off at 3 degrees).
function quantile(df) {
  const z = 1.959964;
  const terms = [z, (z ** 3 + z) / 4, (5 * z ** 5 + 16 * z ** 3 + 3 * z) / 96];
  terms.push((3 * z ** 7 + 19 * z ** 5 + 17 * z ** 3 - 15 * z) / 384);
  return sum(terms.map((term, i) => term / df ** i));
}
