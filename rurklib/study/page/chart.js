// The curve: residual knowledge after each number of copies, over the band of the re-trained models.

// How far from 1 the log axis may reach, upwards or downwards, and what is marked on it then.
const REACH = [
  [1.12, [0.9, 0.95, 1, 1.05, 1.1]],
  [1.3, [0.8, 0.9, 1, 1.1, 1.25]],
  [1.65, [0.65, 0.8, 1, 1.25, 1.5]],
  [2.3, [0.5, 0.7, 1, 1.4, 2]],
  [4.4, [0.25, 0.5, 1, 2, 4]],
  [11, [0.1, 0.3, 1, 3, 10]],
];
const POINTS = 200; // of a curve at most
const FEWEST = 5; // copies that a curve begins with: before, it is chance alone

// Marks as in the package's figures: corners, how much to turn, and the inner radius of a star.
const MARKERS = {
  o: [24, 0], s: [4, 45], D: [4, 0], d: [4, 0], "^": [3, 0], v: [3, 180], "<": [3, 270], ">": [3, 90],
  p: [5, 0], h: [6, 0], H: [6, 30], 8: [8, 22.5], "*": [5, 0, 0.4], P: [4, 0, 0.45], X: [4, 45, 0.45],
};

function markerPath(marker, x, y, radius) {
  const [corners, turn, inner] = MARKERS[marker] ?? MARKERS.o;
  const count = inner ? 2 * corners : corners;
  const at = (i) => {
    const angle = ((turn + (360 * i) / count) * Math.PI) / 180;
    const r = inner && i % 2 ? radius * inner : radius;
    return `${(x + r * Math.sin(angle)).toFixed(1)} ${(y - r * Math.cos(angle)).toFixed(1)}`;
  };
  return `M${Array.from({ length: count }, (_, i) => at(i)).join("L")}Z`;
}

function marker({ marker, color }, x = 9, y = 9, radius = 7) {
  return `<path d="${markerPath(marker, x, y, radius)}" style="fill:${color}"/>`;
}

// The curves as the inside of an <svg> of that size. "shown" are the models (their places) with a
// curve of their own; "room" is how many copies the axis has room for; "t" as in Tally.prediction,
// or 0 for no prediction.
function chart(tally, models, shown, { width, height, room, unit, t }) {
  const [left, right, top, bottom] = [46, width < 500 ? 92 : 104, 12, 46];
  const last = tally.draws;
  const step = Math.max(1, Math.ceil(last / POINTS));
  const draws = Array.from({ length: Math.ceil(last / step) }, (_, i) => last - i * step)
    .filter((n) => n * tally.n >= Math.min(FEWEST, last))
    .reverse();
  const band = tally.band();
  const ends = shown.map((m) => tally.ratio(m)).filter((r) => r > 0);
  // Upwards and downwards the axis reaches as far as the last points ask for; what was beyond is cut.
  const values = [...ends, band.low, band.high].filter((r) => r > 0);
  const reach = (far) => REACH.find(([r]) => r > 1.04 * far) ?? REACH.at(-1);
  const [most, least] = [reach(Math.max(...values)), reach(1 / Math.min(...values))];
  const [up, down] = [Math.log(most[0]), -Math.log(least[0])];
  const x = (n) => left + ((width - left - right) * n) / room;
  const y = (r) => {
    const at = Math.max(-9, Math.min(9, Math.log(Math.max(r, 1e-9)) || 0));
    return top + ((height - top - bottom) * (up - at)) / (up - down);
  };
  const ticks = [1];
  for (const r of [...most[1].filter((r) => r > 1), ...least[1].filter((r) => r < 1).reverse()]) {
    if (Math.abs(y(r) - y(r > 1 ? Math.max(...ticks) : Math.min(...ticks))) > 18) ticks.push(r);
  }
  const path = (points) => points.map(([n, r]) => `${x(n).toFixed(1)} ${y(r).toFixed(1)}`).join("L");
  const known = (points) => points.filter(([, r]) => !Number.isNaN(r));
  const area = (bandAt, name) => {
    const edges = draws.map((n) => [n, bandAt(n)]);
    const up = known(edges.map(([n, b]) => [n, b.high]));
    const down = known(edges.map(([n, b]) => [n, b.low])).reverse();
    return up.length ? `<path class="${name}" d="M${path([...up, ...down])}Z"/>` : "";
  };
  const curve = (m, style, name) => {
    const points = known(draws.map((n) => [n, tally.ratio(m, n)]));
    return points.length ? `<path class="${name}" style="${style}" d="M${path(points)}"/>` : "";
  };
  const own = shown.filter((m) => !models[m].retrained && !Number.isNaN(tally.ratio(m)));
  const whisker = (m) => {
    const [r, half] = [tally.ratio(m), tally.halfWidth(m)];
    if (!Number.isFinite(half)) return "";
    const ends = `y1="${y(r - half)}" y2="${y(r + half)}"`;
    return `<line class="whisker" style="stroke:${models[m].color}" x1="${x(last)}" x2="${x(last)}" ${ends}/>`;
  };
  // Names at the curves' ends, pushed apart where they would lie on each other.
  const labels = own.map((m) => ({ m, y: y(tally.ratio(m)) })).sort((a, b) => a.y - b.y);
  labels.forEach((l, i) => (l.y = Math.max(l.y, i ? labels[i - 1].y + 17 : top + 26)));
  labels.reduceRight((below, l) => (l.y = Math.min(l.y, below - 17)), height - bottom - 2);
  const clip = `<clipPath id="inside"><rect x="${left}" y="${top}" width="${width - left}" height="${height - top - bottom}"/></clipPath>`;
  const across = (r, name) => `<line class="${name}" x1="${left}" x2="${width - right}" y1="${y(r)}" y2="${y(r)}"/>`;
  const word = (name, anchor, at, up, text) => `<text class="${name}" text-anchor="${anchor}" x="${at}" y="${up}">${text}</text>`;
  const marks = [0, 0.25, 0.5, 0.75, 1].map((part) => Math.round(part * room));
  return [
    `<defs>${clip}</defs><g clip-path="url(#inside)">`,
    last && t ? area((n) => tally.prediction(t, n), "further") : "",
    last ? area((n) => tally.band(n), "band") : "",
    "</g>",
    ticks.map((r) => across(r, r === 1 ? "one" : "grid") + word("tick", "end", left - 8, y(r) + 4, r)).join(""),
    marks.map((n) => word("tick", "middle", x(n), height - bottom + 18, n)).join(""),
    word("tick", "middle", (left + width - right) / 2, height - 8, unit),
    '<g clip-path="url(#inside)">',
    shown.filter((m) => models[m].retrained).map((m) => curve(m, "", "retrained")).join(""),
    own.map((m) => curve(m, `stroke:${models[m].color}`, "curve")).join(""),
    own.map(whisker).join(""),
    "</g>",
    own.map((m) => marker(models[m], x(last), y(tally.ratio(m)), 6)).join(""),
    labels.map((l) => word("name", "start", x(last) + 12, l.y + 4, models[l.m].name)).join(""),
    word("hint", "start", width - right + 12, top + 8, "↑ knows it"),
    word("hint", "start", width - right + 12, height - bottom, "↓ too hard"),
  ].join("");
}
