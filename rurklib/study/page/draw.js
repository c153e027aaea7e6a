// What is looked at, and the drawing of copies. Whatever happens changes "state" and the tally; then
// all is shown anew.

const DATA = JSON.parse(document.getElementById("data").textContent);
const SEED = 0; // of the noise
const [CHANNELS, HEIGHT, WIDTH] = DATA.shape;
const PIXELS = CHANNELS * HEIGHT * WIDTH;
const MODELS = DATA.models.map((m) => ({ ...m, answer: net(DATA.layers, m.weights, DATA.shape) }));
const RETRAINED = MODELS.map((m) => m.retrained);
const PICTURES = floats(DATA.images);
const IMAGES = DATA.labels.map((_, i) => PICTURES.subarray(i * PIXELS, (i + 1) * PIXELS));
const HARDEST = MODELS.findIndex((m) => m.name === DATA.steps[1].model);
const ORIGINAL = 0;
const KEEPER = MODELS.findIndex((m, i) => i !== ORIGINAL && i !== HARDEST && !m.retrained); // -1: none
const WORD = DATA.word;
const ALL = -1; // the choice of all pictures together
const ONE_GO = { one: 100, all: 20 }; // copies that are drawn at a time, of each picture
const TILES = 30; // of the last copies, at most
const SLICE = 40; // milliseconds of drawing at a time
const LOOK = 100; // milliseconds between two pictures of what is drawn so far

const $ = (id) => document.getElementById(id);
const calm = matchMedia("(prefers-reduced-motion: reduce)");

const state = { step: 0, choice: 0, tau: DATA.steps[0].tau, painted: null, cursor: 0, drawing: null };
let tally; // of state's picture(s) at its tau
let shown; // the copy that is looked at: { sample, draw, copy, logits }
let recent = []; // the last copies, newest last

// --- drawing copies -------------------------------------------------------------------------------

const samples = () => (state.choice === ALL ? IMAGES.map((_, i) => i) : [state.choice]);
const image = (sample) => (sample === state.choice && state.painted) || IMAGES[sample];

function look(sample, draw) {
  const copy = noisyCopy(image(sample), state.tau, noise(SEED, sample, draw, PIXELS));
  return { sample, draw, copy, logits: MODELS.map((m) => m.answer(copy)) };
}

const says = (logits) => logits.indexOf(Math.max(...logits));

function forgetCounts() {
  state.drawing = null;
  tally = new Tally(RETRAINED, samples().length);
  recent = [];
  shown = look(samples()[0], 0);
}

// Draws copies until there are "count" more of each picture, and pauses after each single one.
function* drawn(count) {
  for (let i = 0; i < count; i++) {
    const right = MODELS.map(() => []);
    for (const sample of samples()) {
      shown = look(sample, tally.draws);
      const correct = shown.logits.map((z) => says(z) === DATA.labels[sample]);
      correct.forEach((is, m) => right[m].push(is));
      recent = [...recent.slice(1 - TILES), { ...shown, correct }];
      yield;
    }
    tally.add(right);
  }
}

// Draws on, a slice of time after the other, so that the page stays alive; true if it came to its end.
async function draw(count) {
  const work = (state.drawing = drawn(count));
  let seen = performance.now();
  while (state.drawing === work) {
    const until = performance.now() + SLICE;
    let ended = false;
    while (!ended && performance.now() < until) ended = work.next().done;
    if (ended) state.drawing = null;
    if (ended || (!calm.matches && performance.now() - seen > LOOK)) {
      show();
      seen = performance.now();
    }
    if (ended) return true;
    await new Promise((go) => setTimeout(go));
  }
  return false; // stopped, or about something else by now
}

const oneGo = () => (state.choice === ALL ? ONE_GO.all : ONE_GO.one);

