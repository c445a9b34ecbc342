// Graph: every column at its grain, and what the server has counted of it since it began.

import { counts, total } from "./server.js";
import { Loaded, Tag, count, html, many, span, useRead } from "./view.js";

const EVERY = 3; // seconds between looks at the counts

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
  const live = (line) => graph.event && line.grain.includes(graph.event.name);
  const grains = [...new Set(graph.columns.map((line) => line.grain))];
  grains.sort((a, b) => a.includes(graph.event.name) - b.includes(graph.event.name) || width(a) - width(b));
  const answers = total(samples, "motet_answers_total");
  return html`
    <p><code>${graph.name}</code> answers ${graph.event.name} with ${graph.outputs.map((one) => one.name).join(", ")}:
      version ${graph.version}, ${many(answers, "ask")} answered since the server began.</p>
    <div class="grains">
      ${grains.map((grain) => {
        const lines = graph.columns.filter((line) => line.grain === grain);
        return html`<section aria-label=${`grain ${grain}`}>
          <h2><code>${grain}</code></h2>
          <p class="quiet">${live(lines[0]) ? "per request" : "prepared"}, ${many(lines.length, "column")}</p>
          ${lines.map((line) => html`<${Column} line=${line} samples=${samples} place=${graph.places.find((one) => one.name === line.column || one.strong === line.column)} />`)}
        </section>`;
      })}
    </div>`;
}

function Column({ line, samples, place }) {
  const of = (name, more = {}) => total(samples, `motet_model_${name}_total`, { model: line.column, ...more });
  const [calls, rows, fell] = [of("calls"), of("rows"), of("fallbacks")];
  const [read, written] = [of("tokens", { direction: "in" }), of("tokens", { direction: "out" })];
  const spared = of("spared");
  return html`<article>
    <h3><span>${line.column}</span>${fell > 0 && html`<${Tag} kind="fair">${count(fell)} fell back</${Tag}>`}</h3>
    ${line.model !== line.column && html`<p><code>${line.model}</code></p>`}
    <p class="quiet">${line.computed}${line.times !== null && !line.per_request ? `, ${many(line.times, "row")}` : ""}
      ${line.seconds !== null && `, ${span(line.seconds)} a row`}${line.cost !== null && !line.per_request && line.times > 1 && `, ${span(line.cost)} in all`}</p>
    ${place && html`<p class="quiet">otherwise ${place.cheap === "otherwise" ? "what is declared" : html`<code>${place.cheap}</code>`}</p>`}
    ${line.reads.length > 0 && html`<p class="quiet">reads ${line.reads.join(", ")}</p>`}
    ${calls + fell + spared > 0 && html`<p class="live">
      <span>${many(calls, "call")}</span>
      ${calls > 0 && html`<span>${span(of("seconds") / calls)} a call</span><span>${many(rows, "row")}</span>`}
      ${read + written > 0 && html`<span>${count(read)} tokens read, ${count(written)} written</span>`}
      ${of("cache_hits") > 0 && html`<span>${count(of("cache_hits"))} known already</span>`}
      ${spared > 0 && html`<span>${count(spared)} spared</span>`}
    </p>`}
  </article>`;
}
