// Returns: what each optional model brings and costs, as it was measured last.

import { Loaded, Table, Tag, Wrong, count, digits, html, moment, useRead } from "./view.js";

const WORDS = { keep: "good", drop: "bad", "only where it pays": "fair", "not enough data": "" };
export const PER = 1000; // requests that money is given for

export function Returns() {
  const kept = useRead("/v1/returns");
  return html`<${Loaded} of=${[kept]}>
    ${(value) => (value.returns ? html`<${Measured} kept=${value} />` : html`<${Missing} help=${value.help} />`)}
  </${Loaded}>`;
}

function Missing({ help }) {
  return html`<p>No returns were kept for this graph. This command fits it once more without each of its optional models,
    replays the same requests, and keeps what came out for this page:</p>
    <pre tabindex="0" aria-label="command"><code>${help}</code></pre>`;
}

const figure = (value) => (value === null || value === undefined ? "–" : value.toFixed(4));
const interval = ({ value, low, high }, said = figure) => `${said(value)}${low === null ? "" : ` [${said(low)}, ${said(high)}]`}`;
const Word = ({ verdict }) => (verdict ? html`<${Tag} kind=${WORDS[verdict.word]}>${verdict.word}</${Tag}>
  ${verdict.where.length > 0 && ` ${verdict.where.join(", ")}`}` : "–");

/** What one optional model returned, in a few words that lead to all of them. */
export const Returned = ({ row }) => html`<a href="#/returns">${row.verdict
  ? html`net ${interval(row.verdict.net, digits)}` : html`${interval(row.difference)} ${row.metric}`}</a>${row.verdict && html` <${Word} verdict=${row.verdict} />`}`;

function Measured({ kept: { returns, when, version, same } }) {
  const { rows, n, amortised, unmeasured } = returns;
  const all = rows.flatMap((row) => [{ ...row, name: "all", first: row }, ...row.slices]);
  return html`
    ${!same && html`<${Wrong} problem=${{ message: "These are of another graph than the one that answers now.", help: "motet returns FILE.py:GRAPH --keep measures this one" }} />`}
    <p>${count(n)} requests replayed on ${moment(when)}, kept with version ${version}: a benefit in replay, never revenue.
      Intervals of 95 %; money per ${count(PER)} requests, what is prepared spread over ${count(amortised)}.</p>
    <${Table} caption="What each model brings and costs" right=${[2, 3, 4, 5, 6, 7, 8, 9]}
      head=${["model", "requests", "n", "with", "without", "difference", "prepared", "live", "value", "net", "verdict"]}
      rows=${all.map((one) => [
        one.first ? html`${one.strong} <span class="quiet">instead of ${one.cheap}</span>` : "",
        one.name, count(one.difference.n), figure(one.ours.value), figure(one.theirs.value), interval(one.difference),
        one.first ? digits(one.cost.prepared) : "", one.first ? digits(one.cost.live) : "",
        one.verdict ? digits(one.verdict.gain.value) : "–", one.verdict ? interval(one.verdict.net, digits) : "–",
        html`<${Word} verdict=${one.verdict} />`])} />
    ${unmeasured.length > 0 && html`<p class="quiet">No measured output reads ${unmeasured.join(", ")}.</p>`}
    <${Frontier} returns=${returns} />`;
}

const BOX = { width: 640, height: 300, left: 70, right: 150, top: 20, bottom: 46 };

/** Metric over cost: the whole graph, and without each model; the bar is the interval of the paired difference. */
function Frontier({ returns }) {
  const { rows, bill } = returns;
  const whole = { name: "all models", cost: bill.prepared + bill.live, value: rows[0].ours.value };
  const without = rows.map((row) => ({
    name: `without ${row.strong}`,
    cost: whole.cost - row.cost.prepared - row.cost.live,
    value: row.theirs.value,
    low: row.difference.high === null ? null : whole.value - row.difference.high,
    high: row.difference.low === null ? null : whole.value - row.difference.low,
  }));
  const points = [whole, ...without].filter((point) => point.value !== null);
  const x = scale(points.map((point) => point.cost), BOX.left, BOX.width - BOX.right);
  const y = scale(points.flatMap((point) => [point.value, point.low ?? point.value, point.high ?? point.value]), BOX.height - BOX.bottom, BOX.top);
  const edge = unbeaten(points).map((point) => `${x(point.cost)},${y(point.value)}`).join(" ");
  const title = `${rows[0].metric} of ${rows[0].output} over cost`;
  const ends = (of) => [Math.min(...points.map(of)), Math.max(...points.map(of))];
  const [cheap, dear] = ends((point) => point.cost);
  return html`<figure>
    <figcaption><strong>${title}</strong><br /><span class="quiet">A bar is the interval of the difference to the whole graph: where it does not
      reach the dashed line, the model surely matters. The thin line joins what nothing else beats at its cost.</span></figcaption>
    <div class="wide" tabindex="0" role="region" aria-label="picture">
    <svg class="frontier" viewBox=${`0 0 ${BOX.width} ${BOX.height}`} role="img" aria-label=${title}>
      <path class="axis" d=${`M${BOX.left - 20},${BOX.top} V${BOX.height - BOX.bottom + 10} H${BOX.width - BOX.right + 20}`} />
      <path class="rule" d=${`M${BOX.left - 20},${y(whole.value)} H${BOX.width - BOX.right + 20}`} />
      <polyline class="edge" points=${edge} />
      ${points.map((point) => html`
        ${(point.low ?? null) !== null && html`<path class="bar" d=${`M${x(point.cost)},${y(point.low)} V${y(point.high)}`} />`}
        <circle class="point" cx=${x(point.cost)} cy=${y(point.value)} r="5" />
        <text x=${x(point.cost) + 10} y=${y(point.value) + (point === whole ? -8 : 16)}>${point.name}</text>`)}
      ${ends((point) => point.value).map((value) => html`<text class="quiet" text-anchor="end" x=${BOX.left - 26} y=${y(value) + 4}>${figure(value)}</text>`)}
      ${[cheap, dear].map((cost) => html`<text class="quiet" text-anchor="middle" x=${x(cost)} y=${BOX.height - BOX.bottom + 26}>${digits(cost)}</text>`)}
      <text class="quiet" text-anchor="middle" x=${(BOX.left + BOX.width - BOX.right) / 2} y=${BOX.height - 4}>cost of ${count(PER)} requests</text>
    </svg></div>
  </figure>`;
}

/** Where a value lies between two places of the picture. */
function scale(values, from, to) {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  return (value) => (high === low ? (from + to) / 2 : from + ((value - low) / (high - low)) * (to - from));
}

/** Those that cost less than all that are as good, the cheapest first. */
function unbeaten(points) {
  const best = [];
  for (const point of [...points].sort((a, b) => a.cost - b.cost || b.value - a.value)) {
    if (!best.length || point.value > best.at(-1).value) best.push(point);
  }
  return best;
}
