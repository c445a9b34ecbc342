// Graph: every column at its grain, and what the server has counted of it since it began.

import { useState } from "preact/hooks";
import { counts, total } from "./server.js";
import { Loaded, Tag, count, digits, html, instead, isNameless, many, named, span, useRead } from "./view.js";

const EVERY = 3; // seconds between looks at the counts
const PER = 1000; // asks that a cost is given for
const KEPT = "motet-prices";
const PRICED = { core: "a processor core an hour", read: "a million tokens read", written: "a million tokens written" };

/** What work costs is the reader's to say; it is kept for the tab. */
function usePrices() {
  const [prices, set] = useState(() => JSON.parse(sessionStorage.getItem(KEPT) ?? "{}"));
  const change = (name, given) => {
    const now = { ...prices, [name]: Math.max(0, Number(given)) || 0 };
    sessionStorage.setItem(KEPT, JSON.stringify(now));
    set(now);
  };
  return [prices, change];
}

const Prices = ({ prices, change }) => html`<form class="prices" aria-label="Prices" onSubmit=${(event) => event.preventDefault()}>
  <p class="quiet">To see what live work costs, say what these cost you:</p>
  ${Object.entries(PRICED).map(([name, says]) => html`<label>${says}
    <input type="number" min="0" step="any" inputmode="decimal" value=${prices[name] || ""} placeholder="0" onInput=${(event) => change(name, event.target.value)} />
  </label>`)}
</form>`;

/** Money that so much live work took: by its tokens where those have a price, else by its time. */
function cost(prices, seconds, read, written) {
  const tokens = (read * (prices.read ?? 0) + written * (prices.written ?? 0)) / 1e6;
  return tokens || (seconds / 3600) * (prices.core ?? 0);
}

/** What a row of a column takes, and where that was measured if not on its own rows; empty where it never was. */
export function aRow({ seconds, elsewhere, silent }) {
  const why = silent ? ": no text in the data" : "";
  if (seconds === null) return why && `not measured${why}`;
  return `${span(seconds)} a row${elsewhere ? `, as for prepared rows${why}` : ""}`;
}

export function Graph() {
  const graph = useRead("/v1/graph");
  const counted = useRead("/metrics", { every: EVERY, with: counts });
  return html`<${Loaded} of=${[graph, counted]}>
    ${(facts, samples) => html`<${Columns} graph=${facts} samples=${samples} />`}
  </${Loaded}>`;
}

const SIZE = { "{}": 0 };
const width = (grain) => SIZE[grain] ?? grain.split(",").length;

function Columns({ graph, samples }) {
  const [prices, change] = usePrices();
  const live = (line) => graph.event && line.grain.includes(graph.event.name);
  const grains = [...new Set(graph.columns.map((line) => line.grain))];
  grains.sort((a, b) => a.includes(graph.event.name) - b.includes(graph.event.name) || width(a) - width(b));
  const answers = total(samples, "motet_answers_total");
  return html`
    <p><code>${graph.name}</code> answers ${graph.event.name} with ${graph.outputs.map((one) => one.name).join(", ")}:
      version ${graph.version}, ${many(answers, "ask")} answered since the server began.</p>
    <${Prices} prices=${prices} change=${change} />
    <div class="grains">
      ${grains.map((grain) => {
        const lines = graph.columns.filter((line) => line.grain === grain);
        return html`<section aria-label=${`grain ${grain}`}>
          <h2><code>${grain}</code></h2>
          <p class="quiet">${live(lines[0]) ? "per request" : width(grain) ? "prepared" : "prepared, one for all"}, ${many(lines.length, "column")}</p>
          ${lines.map((line) => html`<${Column} line=${line} graph=${graph} samples=${samples} prices=${prices} answers=${answers} />`)}
        </section>`;
      })}
    </div>`;
}

function Column({ line, graph, samples, prices, answers }) {
  const of = (name, more = {}) => total(samples, `motet_model_${name}_total`, { model: line.column, ...more });
  const [calls, rows, fell] = [of("calls"), of("rows"), of("fallbacks")];
  const [read, written] = [of("tokens", { direction: "in" }), of("tokens", { direction: "out" })];
  const spared = of("spared");
  const place = graph.places.find((one) => one.column === line.column);
  const paid = cost(prices, of("seconds"), read, written);
  return html`<article>
    <h3><span>${named(graph, line.column)}</span>${fell > 0 && html`<${Tag} kind="fair">stand-in used</${Tag}>`}</h3>
    ${line.model !== line.column && html`<p><code>${line.model}</code></p>`}
    <p class="quiet">${line.computed}${line.times !== null && !line.per_request ? `, ${many(line.times, "row")}` : ""}
      ${aRow(line) && `, ${aRow(line)}`}${line.cost !== null && !line.per_request && line.times > 1 && `, ${span(line.cost)} in all`}</p>
    ${place && html`<p class="quiet">otherwise ${place.cheap === "otherwise" ? "what is declared" : html`<code>${named(graph, place.cheap)}</code>`}</p>`}
    ${line.reads.length > 0 && html`<p class="quiet">reads ${line.reads.map((read, i) => html`${i ? ", " : ""}${named(graph, read)}`)}</p>`}
    ${isNameless(graph, line.column) && html`<details><summary>How it is made</summary><code>${line.column}</code></details>`}
    ${calls + fell + spared > 0 && html`<p class="live">
      ${calls > 0 && html`<span>${many(calls, "call")}</span><span>${span(of("seconds") / calls)} a call</span><span>${many(rows, "row")}</span>`}
      ${read + written > 0 && html`<span>${count(read)} tokens read, ${count(written)} written</span>`}
      ${paid > 0 && answers > 0 && html`<span>${digits((PER * paid) / answers)} for ${count(PER)} asks</span>`}
      ${of("cache_hits") > 0 && html`<span>${count(of("cache_hits"))} known already</span>`}
      ${spared > 0 && html`<span>${many(spared, "time")} not asked, by choice</span>`}
      ${fell > 0 && html`<span>${instead(graph, line.column, fell)}</span>`}
    </p>`}
  </article>`;
}
