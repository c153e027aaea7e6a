// What was answered is stored: this draws it. "state" is what is looked at; show() shows it.

const DATA = JSON.parse(document.getElementById("data").textContent);
const { models: MODELS, classes: CLASSES, taus: TAUS, draws: DRAWS, word: WORD, steps: STEPS } = DATA;
const [CHANNELS, HEIGHT, WIDTH] = DATA.shape;
const PIXELS = CHANNELS * HEIGHT * WIDTH;
const bytes = (base64) => Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
const IMAGES = bytes(DATA.images);
const NOISE = new Int8Array(bytes(DATA.noise).buffer);
const [ANSWERS, SHARES] = [bytes(DATA.answers), bytes(DATA.shares)];
const RATIOS = new Uint16Array(bytes(DATA.ratios).buffer);
const COUNT = IMAGES.length / PIXELS;
const ALL = COUNT; // the choice of all pictures together
const FREE = 3; // the step in which everything may be tried
const HARDEST = STEPS[1].model;
const RETRAINED = MODELS.flatMap((m, i) => (m.retrained ? [i] : []));
const KEEPER = MODELS.findIndex((m, i) => i && i !== HARDEST && !m.retrained); // -1: none

const $ = (id) => document.getElementById(id);
const state = { step: 0, choice: 0, tau: STEPS[0].tau, drawn: DRAWS };

const at = (picture, draw, model) =>
  ((picture * TAUS.length + state.tau) * DRAWS + draw) * MODELS.length + model;
const ratio = (model, drawn = state.drawn) => {
  const thousandths = RATIOS[at(state.choice, drawn - 1, model)];
  return thousandths === 65535 ? NaN : thousandths / 1000;
};
const pictures = () => (state.choice === ALL ? [...Array(COUNT).keys()] : [state.choice]);
const copies = () => pictures().length * state.drawn;
const found = (model) => pictures().reduce((sum, picture) => {
  for (let draw = 0; draw < state.drawn; draw++) sum += ANSWERS[at(picture, draw, model)] === DATA.label;
  return sum;
}, 0);
const band = (drawn = state.drawn) => {
  const ends = RETRAINED.map((m) => ratio(m, drawn));
  return [Math.min(...ends), Math.max(...ends)];
};

const bold = (text) => `<b>${text}</b>`;
const two = (r) => (Number.isFinite(r) ? r.toFixed(2) : "–");
const list = (words) => [words.slice(0, -1).join(", "), words.at(-1)].filter(Boolean).join(" and ");
const ONE = `${/^[aeiou]/i.test(WORD) ? "an" : "a"} ${WORD}`;
const name = (m) => `<em>${MODELS[m].name}</em>`;

const STORY = [
  {
    heading: `Before forgetting, Original knows this ${WORD}`,
    next: "Is that a lot? Compare",
    shows: (m) => m === 0,
    text: () => `<em>Original</em> is the model before it was asked to forget: it learned from this very picture that
      it is ${ONE}. Disturb it with random noise, again and again: of ${copies()} noisy copies Original still takes
      ${bold(found(0))} for ${ONE}. Is that a lot? There must be something to compare it with.`,
  },
  {
    heading: "Models that never saw it know it less",
    next: "And if it is pushed to forget?",
    shows: (m) => m === 0 || m === KEEPER || MODELS[m].retrained,
    text: () => `These ${DATA.few} models were trained from scratch without this picture. Of the same ${copies()} copies
      they take ${list(RETRAINED.map((m) => bold(found(m))))} for ${ONE}. Original’s ${bold(found(0))} over their mean is
      ${bold(two(ratio(0)))}: its <em>residual knowledge</em> of the picture. 1 would be as if it had never seen it.
      ${KEEPER < 0 ? "" : `${name(KEEPER)} was made to forget it, and takes ${bold(found(KEEPER))}.`} Those that never
      saw it differ too, from ${two(band()[0])} to ${two(band()[1])}: only outside that does a number tell something.`,
  },
  {
    heading: "Push too hard, and it shows as well",
    next: "Now you",
    shows: (m) => MODELS[m].retrained || m === HARDEST,
    text: () => `Another forgotten ${WORD}, and a model that was made to forget it: ${name(HARDEST)}
      (${MODELS[HARDEST].note}). It takes ${bold(found(HARDEST))} of ${copies()} copies for ${ONE}; those that never saw
      the picture take ${list(RETRAINED.map(found))}. Residual knowledge ${bold(two(ratio(HARDEST)))}: to fail where a
      stranger wouldn’t gives the picture away too.`,
  },
  {
    heading: "Your turn",
    next: "",
    shows: () => true,
    text: () => `Change the noise, or pick another ${WORD}. Now all models are here, and
      ${bold(`all ${COUNT} pictures`)} together, for what a single ${WORD} shows may be chance.`,
  },
];

function verdict() {
  const [low, high] = band();
  const place = (m) => (ratio(m) > high ? "above" : ratio(m) < low ? "below" : "inside");
  const judged = shown().filter((m) => !MODELS[m].retrained);
  const told = ["above", "inside", "below"].flatMap((side) => {
    const those = judged.filter((m) => place(m) === side);
    return those.length ? [`${list(those.map(name))} ${bold(side)} the grey band`] : [];
  });
  if (Number.isNaN(low)) return `No re-trained model takes any copy for ${ONE}: there is nothing to divide by.`;
  const chance = `But ${state.choice === ALL ? "these are" : `that is one ${WORD} and`} ${DATA.few} re-trained models: of any
    ${RETRAINED.length + 1} that never saw it, one comes out first and one last.`;
  return `After ${copies()} noisy copies: ${list(told)}. ${chance}`;
}

const shown = () => MODELS.flatMap((_, m) => (STORY[state.step].shows(m) ? [m] : []));

// --- what is seen -----------------------------------------------------------------------------------

function paint(canvas, picture, draw) {
  [canvas.width, canvas.height] = [WIDTH, HEIGHT];
  const colour = (part) => getComputedStyle(document.body).getPropertyValue(part).match(/\w\w/g).map((h) => parseInt(h, 16));
  const [white, black] = [colour("--paper"), colour("--ink")];
  const pixels = new ImageData(WIDTH, HEIGHT);
  for (let i = 0; i < WIDTH * HEIGHT; i++) {
    for (let c = 0; c < 3; c++) {
      const k = CHANNELS === 3 ? c * WIDTH * HEIGHT + i : i;
      const noise = draw === undefined ? 0 : (TAUS[state.tau] * NOISE[draw * PIXELS + k]) / 32;
      const value = Math.min(1, Math.max(0, IMAGES[picture * PIXELS + k] / 255 + noise));
      pixels.data[4 * i + c] = CHANNELS === 3 ? 255 * value : white[c] + (black[c] - white[c]) * value;
    }
    pixels.data[4 * i + 3] = 255;
  }
  canvas.getContext("2d").putImageData(pixels, 0, 0);
}

function showTable(picture) {
  $("caption").textContent = `Tau ${TAUS[state.tau]}, ${copies()} noisy copies of ${state.choice === ALL ? `all ${COUNT} pictures` : "the picture"}`;
  $("models").innerHTML = shown().map((m) => {
    const k = at(picture, state.drawn - 1, m);
    const right = ANSWERS[k] === DATA.label;
    return `<tr><th scope="row"><span class="dot" style="background:${MODELS[m].color}"></span>${MODELS[m].name}
      <small>${MODELS[m].note}</small></th>
      <td><span role="img" class="${right ? "right" : "wrong"}" aria-label="${right ? "right" : "wrong"}">${right ? "✓" : "✗"}</span>
      <b>${CLASSES[ANSWERS[k]]}</b> <small>${SHARES[k]} % sure</small></td>
      <td>${found(m)} <small>of ${copies()}</small><span class="bar"><i style="width:${(100 * found(m)) / copies()}%;
      background:${MODELS[m].color}"></i></span></td><td><b>${two(ratio(m))}</b></td></tr>`;
  }).join("");
}

// Ratios over draws, on a logarithmic axis that reaches as far as the last ones ask for.
function showChart() {
  const [left, right, top, bottom, wide, high] = [40, 105, 10, 36, 560, 280];
  const judged = shown().filter((m) => !MODELS[m].retrained && ratio(m) > 0);
  const far = Math.max(1.5, ...[...judged.map((m) => ratio(m)), ...band()].map((r) => (r > 0 ? Math.max(r, 1 / r) : 1)));
  const most = 1.1 * Math.min(far, 8);
  const x = (n) => left + ((wide - left - right) * n) / DRAWS;
  const y = (r) => {
    const part = Math.log(Math.max(r, 1e-3)) / Math.log(most);
    return top + ((high - top - bottom) * (1 - Math.max(-1, Math.min(1, part)))) / 2;
  };
  const draws = [...Array(state.drawn).keys()].map((n) => n + 1);
  const path = (points) => points.filter(([, r]) => !Number.isNaN(r)).map(([n, r]) => `${x(n).toFixed(1)} ${y(r).toFixed(1)}`).join("L");
  const edge = (side) => draws.map((n) => [n, band(n)[side]]);
  const word = (anchor, at, up, text) => `<text text-anchor="${anchor}" x="${at}" y="${up}">${text}</text>`;
  const ticks = [1, 1.25, 1.5, 2, 3, 5, 8].filter((r) => r < most).flatMap((r) => (r === 1 ? [1] : [r, 1 / r]));
  const area = path([...edge(1), ...edge(0).reverse()]);
  const labels = judged.map((m) => ({ m, y: y(ratio(m)) })).sort((a, b) => a.y - b.y);
  labels.forEach((label, i) => (label.y = Math.max(label.y, i ? labels[i - 1].y + 16 : 0))); // not on each other
  $("chart").innerHTML = [
    area && `<path class="band" d="M${area}Z"/>`,
    ...ticks.map((r) => `<line class="${r === 1 ? "one" : "grid"}" x1="${left}" x2="${wide - right}" y1="${y(r)}" y2="${y(r)}"/>`
      + word("end", left - 6, y(r) + 4, Number(r.toFixed(2)))),
    ...[0, DRAWS / 2, DRAWS].map((n) => word("middle", x(n), high - 20, n)),
    word("middle", x(DRAWS / 2), high - 4, `noisy copies drawn${state.choice === ALL ? " of each" : ""}`),
    ...judged.map((m) => `<path class="curve" style="stroke:${MODELS[m].color}" d="M${path(draws.map((n) => [n, ratio(m, n)]))}"/>`),
    ...labels.map(({ m, y }) => word("start", x(state.drawn) + 8, y + 4, MODELS[m].name)),
  ].join("");
  const ends = judged.map((m) => `${MODELS[m].name} ${two(ratio(m))}`);
  $("chart").setAttribute("aria-label", `Residual knowledge after ${state.drawn} copies: ${list(ends)}; re-trained models
    ${two(band()[0])} to ${two(band()[1])}`);
}

function show() {
  const picture = state.choice === ALL ? state.drawn % COUNT : state.choice;
  const which = `${WORD} ${picture + 1} of ${COUNT}`;
  paint($("image"), picture);
  paint($("copy"), picture, state.drawn - 1);
  paint($("portrait"), picture);
  $("imageName").textContent = which;
  $("copyName").textContent = `noisy copy ${state.drawn}`;
  $("image").setAttribute("aria-label", `The forgotten ${which}`);
  $("copy").setAttribute("aria-label", `A noisy copy of ${which}, tau ${TAUS[state.tau]}`);
  $("tau").value = state.tau;
  $("tauValue").textContent = `${TAUS[state.tau]}: each pixel by some ${Math.round(100 * TAUS[state.tau])} %`;
  $("tau").setAttribute("aria-valuetext", $("tauValue").textContent);
  $("once").disabled = state.drawn === DRAWS;
  $("picker").hidden = state.step !== FREE;
  $("text").innerHTML = STORY[state.step].text();
  $("verdict").innerHTML = state.step ? verdict() : "";
  document.querySelectorAll("#choices input").forEach((input) => (input.checked = Number(input.value) === state.choice));
  showTable(picture);
  showChart();
}

// --- what a visitor does ----------------------------------------------------------------------------

let turn = 0; // of the drawing in hand; one that was taken over sees another number

// Draws one copy after the other; at once for who wants no motion.
function draw() {
  const mine = ++turn;
  state.drawn = matchMedia("(prefers-reduced-motion: reduce)").matches ? DRAWS : 1;
  const step = () => {
    if (mine !== turn) return;
    show();
    if (state.drawn < DRAWS) {
      state.drawn++;
      setTimeout(step, 25);
    } else $("said").textContent = `${$("text").textContent} ${$("verdict").textContent}`.replace(/\s+/g, " ");
  };
  step();
}

function look(changes) {
  Object.assign(state, changes);
  draw();
}

function goTo(step) {
  const { picture, tau } = STEPS[step > 1 ? 1 : 0];
  $("heading").textContent = STORY[step].heading;
  $("next").textContent = `${STORY[step].next} →`;
  $("next").hidden = step === FREE;
  document.querySelectorAll("#steps button").forEach((b, i) => (i === step ? b.setAttribute("aria-current", "step") : b.removeAttribute("aria-current")));
  look({ step, tau, choice: step === FREE ? ALL : picture });
}

$("tau").max = TAUS.length - 1;
$("choices").innerHTML = [ALL, ...Array(COUNT).keys()].map((i) => `<label class="${i === ALL ? "all" : ""}"><input type="radio"
  name="choice" value="${i}" aria-label="${i === ALL ? `all ${COUNT} together` : `${WORD} ${i + 1}`}"><span>${
  i === ALL ? `all ${COUNT}` : "<canvas></canvas>"}</span></label>`).join("");
const thumbnails = () => document.querySelectorAll("#choices canvas").forEach((canvas, i) => paint(canvas, i));
thumbnails();
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => (thumbnails(), show()));
document.querySelectorAll("#steps button").forEach((button, i) => button.addEventListener("click", () => goTo(i)));
$("next").addEventListener("click", () => (goTo(state.step + 1), $("heading").focus()));
$("choices").addEventListener("change", (event) => look({ choice: Number(event.target.value) }));
$("tau").addEventListener("input", () => look({ tau: Number($("tau").value) }));
$("once").addEventListener("click", () => (turn++, state.drawn++, show()));
$("again").addEventListener("click", draw);
goTo(0);
window.rurk = { state, ratio, found, band, goTo, look }; // for tests, and for the curious
