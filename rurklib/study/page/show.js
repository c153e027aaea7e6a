// What is seen of the state.

let white, black; // [red, green, blue] of 0 and 1, in the visitor's colour scheme

function readColours() {
  const style = getComputedStyle(document.body);
  const colour = (name) => style.getPropertyValue(name).match(/\w\w/g).map((h) => parseInt(h, 16));
  [white, black] = [colour("--paper"), colour("--ink")];
  document.querySelectorAll("#choices canvas").forEach((canvas, i) => paint(canvas, IMAGES[i]));
}

function paint(canvas, pixels) {
  if (canvas.width !== WIDTH || canvas.height !== HEIGHT) [canvas.width, canvas.height] = [WIDTH, HEIGHT];
  const picture = new ImageData(WIDTH, HEIGHT);
  for (let i = 0; i < WIDTH * HEIGHT; i++) {
    for (let c = 0; c < 3; c++) {
      const value = CHANNELS === 3 ? 255 * pixels[c * WIDTH * HEIGHT + i] : white[c] + (black[c] - white[c]) * pixels[i];
      picture.data[4 * i + c] = value;
    }
    picture.data[4 * i + 3] = 255;
  }
  canvas.getContext("2d").putImageData(picture, 0, 0);
}

function showPicture() {
  const { sample, copy } = shown;
  const which = `${WORD} ${sample + 1} of ${IMAGES.length}`;
  const free = state.step === FREE && state.choice !== ALL;
  paint($("image"), image(sample));
  paint($("copy"), copy);
  $("imageName").textContent = state.painted ? `${which}, painted` : which;
  $("copyName").textContent = `noisy copy ${shown.draw + 1}`;
  if (state.choice !== ALL) paint($("portrait"), image(sample));
  $("image").setAttribute("role", free ? "application" : "img");
  $("image").setAttribute("aria-label", free
    ? `Picture to paint on, ${HEIGHT} rows of ${WIDTH}: arrow keys move, space changes a pixel` : `The forgotten ${which}`);
  $("image").tabIndex = free ? 0 : -1;
  $("paper").classList.toggle("painting", free);
  $("copy").setAttribute("aria-label", `A noisy copy of ${which}, tau ${state.tau.toFixed(2)}`);
  $("paintHelp").hidden = !free;
  $("clean").hidden = !state.painted;
  $("tauValue").textContent = `${state.tau.toFixed(2)}: each pixel by some ${percent(state.tau)}`;
  $("tau").value = DATA.taus.indexOf(state.tau);
  $("tau").setAttribute("aria-valuetext", $("tauValue").textContent);
  const [row, column] = [Math.floor(state.cursor / WIDTH), state.cursor % WIDTH];
  Object.assign($("cursor").style, { width: `${100 / WIDTH}%`, height: `${100 / HEIGHT}%`, top: `${(100 * row) / HEIGHT}%`,
    left: `${(100 * column) / WIDTH}%` });
  const last = recent.slice(state.step === 0 ? -TILES : -TILES / 3);
  while ($("recent").children.length < TILES) $("recent").insertAdjacentHTML("beforeend", "<li><canvas></canvas><svg></svg></li>");
  [...$("recent").children].forEach((tile, i) => {
    tile.hidden = i >= last.length;
    if (tile.hidden) return;
    const [canvas, marks] = tile.children;
    paint(canvas, last[i].copy);
    marksOf(marks, last[i].correct);
  });
}

// A mark for each model that is shown, filled if it was right, five in a row at most.
function marksOf(svg, correct) {
  const models = visible();
  const columns = models.length > 5 ? Math.ceil(models.length / 2) : 5;
  const marks = models.map((m, i) => {
    const path = markerPath(MODELS[m].marker, 5 + 10 * (i % columns), 6 + 11 * Math.floor(i / columns), 4);
    return `<path d="${path}" style="stroke:${MODELS[m].color};fill:${correct[m] ? MODELS[m].color : "none"}"/>`;
  });
  svg.setAttribute("viewBox", `0 0 ${10 * columns} ${11 * Math.ceil(marks.length / columns)}`);
  svg.innerHTML = marks.join("");
}

function makeTable() {
  $("models").innerHTML = MODELS.map((m) => `<tr><th scope="row"><svg class="mark" viewBox="0 0 18 18" aria-hidden="true">${marker(m)}</svg>
    ${m.name}<small>${m.note}</small></th><td class="sees"></td><td class="share"></td><td class="ratio"></td></tr>`).join("");
}

function showTable() {
  const compared = state.step > 0;
  $("caption").textContent = `Tau ${state.tau.toFixed(2)}, ${looked()} noisy copies of ${
    state.choice === ALL ? `all ${IMAGES.length} pictures` : state.painted ? "the painted picture" : "the picture"}`;
  document.querySelector("thead .ratio").hidden = !compared;
  [...$("models").rows].forEach((row, m) => {
    row.hidden = !STEPS[state.step].shows(m);
    row.classList.toggle("key", STEPS[state.step].key === m);
    const answer = says(shown.logits[m]);
    const right = answer === DATA.labels[shown.sample];
    const sure = percent(softmax(shown.logits[m])[answer]);
    const [, sees, share, ratio] = row.cells;
    sees.innerHTML = `<span role="img" class="${right ? "right" : "wrong"}" aria-label="${right ? "right" : "wrong"}">${right ? "✓" : "✗"}</span>
      <b>${DATA.classes[answer]}</b> <small>${sure} sure</small>`;
    share.innerHTML = `${found(m)} <small>of ${looked()}</small>
      <span class="bar"><i style="width:${(100 * found(m)) / (looked() || 1)}%;background:${MODELS[m].color}"></i></span>`;
    ratio.hidden = !compared;
    const half = tally.draws ? tally.halfWidth(m) : NaN;
    ratio.innerHTML = tally.draws ? `${bold(two(tally.ratio(m)))} <small>± ${two(half)}</small>` : "";
  });
}

function showResult() {
  $("result").hidden = state.step === 0;
  $("short").textContent = state.step && tally.draws ? unlearned().map((m) => `${name(m)} ${two(tally.ratio(m))}`).join(", ") : "";
  if (state.step === 0) return;
  $("verdict").innerHTML = verdict();
  $("caveat").textContent = tally.draws ? caveat() : "";
  const all = state.choice === ALL;
  document.querySelector(".legend .all").hidden = !all;
  const svg = $("chart");
  const { clientWidth: width, clientHeight: height } = svg;
  if (!tally.draws || !width) return;
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.querySelector("g").innerHTML = chart(tally, MODELS, visible(), {
    width, height, room: Math.max(oneGo(), tally.draws), t: all ? DATA.quantile : 0,
    unit: all ? `noisy copies drawn of each ${WORD}` : "noisy copies drawn",
  });
  const { low, high } = tally.band();
  $("chartName").textContent = `Residual knowledge after ${tally.draws} copies: ${
    list(unlearned().map((m) => `${name(m)} ${two(tally.ratio(m))}`))}; re-trained models ${two(low)} to ${two(high)}`;
}

function show() {
  showPicture();
  showTable();
  showResult();
  $("text").innerHTML = `<p>${STEPS[state.step].text()}</p>`;
  document.querySelectorAll("#choices input").forEach((input) => (input.checked = Number(input.value) === state.choice));
  $("many").textContent = state.drawing ? "Stop" : `Draw ${oneGo()} ${tally.draws ? "more" : "copies"}`;
  $("once").textContent = state.choice === ALL ? "Draw one of each" : "Draw 1 more";
}

// Said to a screen reader, when something has come to its end.
function say(text) {
  $("said").textContent = text;
}

async function drawAndSay(count) {
  if (!(await draw(count))) return;
  const words = document.createElement("div");
  words.innerHTML = state.step === 0 ? $("text").innerHTML : `${verdict()} ${caveat()}`;
  say(words.textContent.replace(/\s+/g, " "));
}

