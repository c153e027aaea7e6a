// What a visitor does.

// Something else is looked at: counts begin anew.
function restart(count = oneGo()) {
  forgetCounts();
  show();
  return drawAndSay(count);
}

function goTo(step) {
  const { sample: choice, tau } = step === FREE ? { sample: ALL, tau: DATA.steps[1].tau } : DATA.steps[step === 2 ? 1 : 0];
  const same = tally && choice === state.choice && tau === state.tau && (step === FREE || !state.painted);
  Object.assign(state, { step, choice, tau });
  if (step !== FREE) state.painted = null;
  $("heading").textContent = STEPS[step].heading;
  $("next").textContent = `${STEPS[step].next} →`;
  $("next").hidden = step === FREE;
  document.querySelectorAll(".free").forEach((e) => (e.hidden = step !== FREE));
  document.querySelectorAll("#steps button").forEach((b, i) => (i === step ? b.setAttribute("aria-current", "step") : b.removeAttribute("aria-current")));
  if (!same) return restart();
  show();
  return Promise.resolve();
}

function choose(choice, count) {
  Object.assign(state, { choice, painted: null });
  return restart(count);
}

// Ink on or off in one pixel (of all channels); counts begin anew when the brush is lifted.
function ink(at, value) {
  state.painted ??= image(state.choice).slice();
  for (let c = 0; c < CHANNELS; c++) state.painted[c * WIDTH * HEIGHT + at] = value;
  forgetCounts();
  show();
}

const flipped = (at) => (image(state.choice)[at] > 0.5 ? 0 : 1);

function listenToBrush() {
  const canvas = $("image");
  let value = null; // while the pointer is down
  const cell = (event) => {
    const box = canvas.getBoundingClientRect();
    const place = (v, n) => Math.min(n - 1, Math.max(0, Math.floor(v * n)));
    return place((event.clientY - box.top) / box.height, HEIGHT) * WIDTH + place((event.clientX - box.left) / box.width, WIDTH);
  };
  canvas.addEventListener("pointerdown", (event) => {
    if (canvas.tabIndex < 0) return;
    canvas.setPointerCapture(event.pointerId);
    value = flipped((state.cursor = cell(event)));
    ink(state.cursor, value);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (value === null || cell(event) === state.cursor) return;
    ink((state.cursor = cell(event)), value);
  });
  for (const end of ["pointerup", "pointercancel"]) {
    canvas.addEventListener(end, () => {
      if (value !== null) drawAndSay(oneGo());
      value = null;
    });
  }
  const moves = { ArrowUp: -WIDTH, ArrowDown: WIDTH, ArrowLeft: -1, ArrowRight: 1 };
  canvas.addEventListener("keydown", (event) => {
    const { key } = event;
    const to = state.cursor + moves[key];
    const edge = { ArrowLeft: 0, ArrowRight: WIDTH - 1 }[key] === state.cursor % WIDTH;
    if (key in moves && to >= 0 && to < WIDTH * HEIGHT && !edge) state.cursor = to;
    if (key === " ") ink(state.cursor, flipped(state.cursor));
    if (!(key in moves) && key !== " ") return;
    event.preventDefault();
    showPicture();
    say(`row ${Math.floor(state.cursor / WIDTH) + 1}, column ${(state.cursor % WIDTH) + 1}: ${percent(image(state.choice)[state.cursor])} ink`);
    if (key === " ") drawAndSay(oneGo());
  });
}

function begin() {
  makeTable();
  $("tau").max = DATA.taus.length - 1;
  $("choices").innerHTML = [ALL, ...IMAGES.keys()].map((i) => `<label class="${i === ALL ? "all" : ""}"><input type="radio" name="choice"
    value="${i}" aria-label="${i === ALL ? `all ${IMAGES.length} together` : `${WORD} ${i + 1}`}"><span>${
    i === ALL ? `all ${IMAGES.length}` : "<canvas></canvas>"}</span></label>`).join("");
  readColours();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => (readColours(), show()));
  addEventListener("resize", showResult);
  document.querySelectorAll("#steps button").forEach((button, i) => button.addEventListener("click", () => goTo(i)));
  $("next").addEventListener("click", () => {
    goTo(state.step + 1);
    $("heading").focus();
  });
  $("choices").addEventListener("change", (event) => choose(Number(event.target.value)));
  $("tau").addEventListener("input", () => {
    state.tau = DATA.taus[$("tau").value];
    forgetCounts();
    show();
  });
  $("tau").addEventListener("change", () => drawAndSay(oneGo()));
  $("once").addEventListener("click", () => drawAndSay(1));
  $("many").addEventListener("click", () => {
    if (!state.drawing) return drawAndSay(oneGo());
    state.drawing = null;
    show();
  });
  $("clean").addEventListener("click", () => {
    choose(state.choice);
    $("image").focus(); // the button vanishes
  });
  listenToBrush();
  const [tau, study] = Object.entries(DATA.study.taus).at(-1) ?? [];
  if (study) $("study").textContent = `Over all ${IMAGES.length} together Original’s residual knowledge is ${two(study.ratios.Original)}
    (tau ${tau}, ${DATA.study.references} re-trained models, ${DATA.study.draws} copies of each).`;
  goTo(0);
}

begin();
// For tests, and for the curious.
window.rurk = { DATA, MODELS, SEED, net, noise, look, draw, choose, goTo, state, tally: () => tally };
