// Landscape: every model that comes with Motet at its place, and where this graph uses it.

import { Loaded, Tag, coded, html, named, span, useRead } from "./view.js";
import { returned } from "./returns.js";

const COLUMNS = { behavior: "Behavior: will they like it, buy it, cheat?", content: "Content: what does it say, what to say of it?" };
const ROWS = ["deep", "shallow"];

export function Landscape() {
  const models = useRead("/v1/landscape");
  const graph = useRead("/v1/graph");
  const returns = useRead("/v1/returns");
  return html`<${Loaded} of=${[models, graph]}>
    ${({ models }, graph) => html`<${Places} models=${models} graph=${graph} returns=${returns.value?.returns} />`}
  </${Loaded}>`;
}

function Places({ models, graph, returns }) {
  const others = models.filter((one) => !(one.place in COLUMNS));
  const used = models.filter((one) => one.used.length).length;
  const list = (some) => some.map((one) => html`<${Model} model=${one} graph=${graph} returns=${returns} />`);
  return html`
    <p>${models.length} models come with Motet; ${used} of them work in this graph.</p>
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

function Model({ model, graph, returns }) {
  return html`<li class=${model.used.length ? "used" : ""}>
    <h3><span>${model.model}</span>${model.used.length > 0 && html`<${Tag} kind="good">in this graph</${Tag}>`}</h3>
    <p class="quiet">${coded(model.says)}</p>
    ${model.used.map((one) => html`<p><code>${named(graph, one.column)}</code> ${costs(one)}${returned(returns, one.column)}</p>`)}
  </li>`;
}

/** What a use of a model took, as it was measured in this store. */
function costs({ each, fit }) {
  const said = [];
  if (fit !== null) said.push(`fitted in ${span(fit)}`);
  if (each !== null) said.push(`${span(each)} a row`);
  return said.join(", ");
}
