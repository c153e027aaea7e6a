// Words: the steps, and what the counts come to.

const percent = (p) => `${Math.round(100 * p)}\u00a0%`;
const two = (r) => (Number.isFinite(r) ? r.toFixed(2) : "–");
const list = (words) => [words.slice(0, -1).join(", "), words.at(-1)].filter(Boolean).join(" and ");
const bold = (text) => `<b>${text}</b>`;
const looked = () => tally.draws * tally.n;
const found = (m) => tally.totals[m].at(-1) ?? 0;
const retrained = () => tally.others(-1);
const ONE = `${/^[aeiou]/i.test(WORD) ? "an" : "a"} ${WORD}`;
const name = (m) => MODELS[m].name;

const STEPS = [
  {
    heading: DATA.headings[0],
    next: "Is that a lot? Compare",
    shows: (m) => m === ORIGINAL,
    key: ORIGINAL,
    text: () => `<em>Original</em> is the model before it was asked to forget: it learned from this very picture
      that it is ${ONE}${WIDTH <= 16 ? ` (squint: ${WIDTH} × ${HEIGHT} pixels)` : ""}. Disturb it with random noise, again and again: of ${looked()} noisy copies Original still takes
      ${bold(found(ORIGINAL))} for ${ONE}. Is that a lot? There must be something to compare it with.`,
  },
  {
    heading: DATA.headings[1],
    next: "And if it is pushed to forget?",
    shows: (m) => m === ORIGINAL || m === KEEPER || RETRAINED[m],
    key: ORIGINAL,
    text: () => `These ${DATA.few} models were trained from scratch without this picture. Of the same ${looked()} copies they take
      ${list(retrained().map((m) => bold(found(m))))} for ${ONE}. Original’s ${bold(found(ORIGINAL))} over their mean,
      ${mean(retrained().map(found)).toFixed(1)}, is ${bold(two(tally.ratio(ORIGINAL)))}:
      its <em>residual knowledge</em> of the picture. 1 would be as if it had never seen it. ${KEEPER < 0 ? "" : `<em>${name(KEEPER)}</em>
      was made to forget it, and takes ${bold(found(KEEPER))}: ${bold(two(tally.ratio(KEEPER)))}.`} Those that never saw it differ too, each against
      the others, from ${two(tally.band().low)} to ${two(tally.band().high)}: only outside that does a number tell something.`,
  },
  {
    heading: DATA.headings[2],
    next: "Now you",
    shows: (m) => RETRAINED[m] || m === HARDEST,
    key: HARDEST,
    text: () => `Another forgotten ${WORD}, and a model that was made to forget it: <em>${name(HARDEST)}</em>
      (${MODELS[HARDEST].note}). It takes ${bold(found(HARDEST))} of ${looked()} copies for ${ONE}; those that never saw the
      picture take ${list(retrained().map((m) => found(m)))}. Residual knowledge ${bold(two(tally.ratio(HARDEST)))}: to fail where
      a stranger wouldn’t gives the picture away too. Something was erased here.`,
  },
  {
    heading: "Your turn",
    next: "",
    shows: () => true,
    text: () => `Change the noise, or pick one ${WORD} and paint on it: every model is asked anew. Now all are here that were
      made to forget, ${list(MODELS.flatMap((m, i) => (i && !m.retrained ? [`<em>${m.name}</em>`] : [])))}; and ${bold(`all ${IMAGES.length} pictures`)},
      for what a single ${WORD} shows may be chance.`,
  },
];

const FREE = STEPS.length - 1;
const visible = () => MODELS.flatMap((_, m) => (STEPS[state.step].shows(m) ? [m] : []));
const unlearned = () => visible().filter((m) => !RETRAINED[m]);

const are = (models) => `${list(models.map(name))} ${models.length > 1 ? "are" : "is"}`;

// Who is where, whether enough copies are drawn to say so, and what they can't tell.
function verdict() {
  if (!tally.draws) return "";
  if (!state.tau && state.choice !== ALL) {
    return `Without noise every copy is the picture itself: ${visible().filter(found).length} of these ${visible().length} models recognise it. Turn up the noise.`;
  }
  if (Number.isNaN(tally.ratio(ORIGINAL))) return `No re-trained model takes any copy for ${ONE}: there is nothing to divide by.`;
  const [dark, { low, high }] = state.choice === ALL ? ["dark ", tally.prediction(DATA.quantile)] : ["", {}];
  const places = unlearned().map((m) => ({ m, ...tally.place(m) }));
  const on = (side) => places.filter((p) => p.side === side).map((p) => p.m);
  const told = ["above", "inside", "below"].filter((side) => on(side).length).map((side) => `${are(on(side))} ${bold(side)} the ${dark}grey band`);
  const open = on("");
  const more = Math.max(...places.filter((p) => !p.side).map((p) => p.more));
  const words = [told.length ? `After ${looked()} noisy copies ${list(told)}.` : ""];
  const light = [...on("above"), ...on("below")].filter((m) => low <= tally.ratio(m) && tally.ratio(m) <= high);
  if (light.length) words.push(`But ${are(light)} in the light grey, where one more re-trained model could be too.`);
  if (!open.length) words.push(`${bold("Enough copies are drawn to tell")}: others would hardly change it.`);
  else {
    words.push(`${bold(`Not enough copies yet to tell${told.length ? " the rest" : ""}`)}: ${are(open)} so near the edge of the ${dark}grey
      band that other copies could change the side; ${
      more < 20 * tally.draws ? `about ${roughly(more)} more${state.choice === ALL ? " of each" : ""} should settle it` : "it would take far more to settle it"}.`);
  }
  return words.join(" ");
}

const caveat = () => (state.choice === ALL ? ofAll() : ofOne());

const roughly = (n) => Number(Math.max(10, n).toPrecision(1)).toLocaleString("en");

function ofOne() {
  if (state.painted) return "What you painted was in nobody’s training: this compares what the models make of it.";
  if (!state.tau) return "";
  return `But that is one ${WORD} and ${DATA.few} models: of any ${DATA.more} that never saw it, one comes out first and one last.`;
}

function ofAll() {
  const { low, high } = tally.prediction(DATA.quantile);
  const alone = `To judge by these ${DATA.few} alone, 95 % of further re-trained models would be between ${two(low)} and ${
    two(high)} (light grey).`;
  const study = DATA.study.taus[state.tau.toFixed(2)];
  if (!study) return alone;
  const all = MODELS.flatMap((m) => (m.name in study.ratios ? [`${m.name} ${two(study.ratios[m.name])}`] : []));
  return `${alone} The study behind this page has ${DATA.study.references} of them, which narrows that to ${two(study.band[0])} to ${
    two(study.band[1])}; it found ${list(all)}.`;
}

