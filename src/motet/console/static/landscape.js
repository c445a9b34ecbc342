// Landscape: every model that comes with Motet at its place, what it costs, and where this graph uses it.

import { Loaded, Tag, coded, count, digits, html, moment, named, span, useRead } from "./view.js";
import { aRow } from "./graph.js";
import { counts, total } from "./server.js";
import { PER, Returned } from "./returns.js";

const COLUMNS = { behavior: "Behavior: will they like it, buy it, cheat?", content: "Content: what does it say, what to say of it?" };
const ROWS = ["deep", "shallow"];

export function Landscape() {
  const read = [useRead("/v1/landscape"), useRead("/v1/graph"), useRead("/v1/returns"), useRead("/metrics", { with: counts })];
  return html`<${Loaded} of=${read}>
    ${({ models }, graph, kept, samples) => html`<${Places} models=${models} graph=${graph} kept=${kept} samples=${samples} />`}
  </${Loaded}>`;
}

function Places({ models, graph, kept, samples }) {
  const others = models.filter((one) => !(one.place in COLUMNS));
  const used = models.filter((one) => one.used.length).length;
  const rows = kept.same ? kept.returns.rows : [];
  const list = (some) => some.map((one) => html`<${Model} model=${one} graph=${graph} rows=${rows} samples=${samples} />`);
  return html`
    <p>${models.length} models come with Motet; ${used} of them work in this graph.
      <span class="quiet"> Those say what they took here; of the others there is what Motet measured once, in processor
      time on a machine of two cores.</span></p>
    <p class="quiet">${rows.length
      ? `Returns are those of ${moment(kept.when)}, net per ${count(PER)} requests; those of other models were not measured here. This measures all that are optional:`
      : "Returns were not measured here. This measures those of optional models:"} <code>${kept.help}</code></p>
    <div class="quadrants">
      <span class="axis top"></span>
      ${Object.values(COLUMNS).map((title) => html`<span class="axis top" aria-hidden="true">${title}</span>`)}
      ${ROWS.map((depth) => html`
        <span class="axis" aria-hidden="true">${depth}</span>
        ${Object.keys(COLUMNS).map((place) => html`
          <section aria-label=${`${place}, ${depth}`}>
            <h2>${place}, ${depth}</h2>
            <ul class="models">${list(models.filter((one) => one.place === place && one.depth === depth))}</ul>
          </section>`)}`)}
    </div>
    ${others.length > 0 && html`<section class="others" aria-label="anything else">
      <h2>Anything else: your own models, at any place</h2>
      <ul class="models">${list(others)}</ul>
    </section>`}`;
}

function Model({ model, graph, rows, samples }) {
  const uses = model.used.map((one) => [one.column, costs(one, samples)]);
  const measured = uses.length > 0 && uses.every(([, { known }]) => known);
  const returned = rows.filter((row) => model.used.some((one) => one.place === row.place));
  return html`<li class=${model.used.length ? "used" : ""}>
    <h3><span>${model.model}</span>${model.used.length > 0 && html`<${Tag} kind="good">in this graph</${Tag}>`}</h3>
    <p class="quiet">${coded(model.says)}</p>
    ${uses.map(([column, { says }]) => html`<p><code>${named(graph, column)}</code> ${says}</p>`)}
    ${!measured && html`<p>${uses.length > 0 && "Motet's own: "}${ours(model.measured)}</p>`}
    ${returned.map((row) => html`<p><code>${row.strong}</code> returns <${Returned} row=${row} /></p>`)}
  </li>`;
}

/** What a use of a model took, as it was measured in this store, and since the server began. */
function costs(use, samples) {
  const of = (name) => total(samples, `motet_model_${name}_total`, { model: use.column });
  const fit = use.fit === null ? "" : `fitted in ${use.fit < 1e-3 ? "under 1 ms" : span(use.fit)}`;
  const live = of("calls") > 0 ? `live ${span(of("seconds") / of("calls"))} a call` : "";
  const kept = [fit, aRow(use)].filter(Boolean).join(", ");
  return { known: fit || use.seconds !== null || (live && !use.silent), says: [kept, live].filter(Boolean).join("; ") };
}

/** What Motet measured of a model, and on which data. */
function ours(measured) {
  if (!measured) return html`<span class="quiet">costs what it runs</span>`;
  if ("ms" in measured) return `${digits(measured.ms)} ms a row of ${measured.data}`;
  const seconds = measured.cpu_seconds ? digits(measured.cpu_seconds) : "under 0.1";
  return `${seconds} s, ${count(measured.memory_mb)} MB a fit on ${measured.data}`;
}
