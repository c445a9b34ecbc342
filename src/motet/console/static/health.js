// Health: what answers, what is prepared for it, what has grown old, and what went wrong.

import { counts, total } from "./server.js";
import { Loaded, Table, Tag, count, html, instead, many, moment, named, span, useRead } from "./view.js";

const EVERY = 3; // seconds between looks
const OLD = 7 * 24 * 3600; // seconds after which a version is called old

export function Health() {
  const versions = useRead("/v1/versions", { every: EVERY });
  const counted = useRead("/metrics", { every: EVERY, with: counts });
  const graph = useRead("/v1/graph");
  return html`<${Loaded} of=${[versions, counted, graph]}>
    ${(about, samples, facts) => html`<${State} about=${about} samples=${samples} graph=${facts} gone=${versions.problem ?? counted.problem} />`}
  </${Loaded}>`;
}

function State({ about, samples, graph, gone }) {
  const stale = staleIn(about);
  const wrong = wrongIn(samples, gone);
  const stood = stoodIn(samples, graph);
  const mine = about.versions.find((one) => one.number === about.answers);
  const of = (name, labels) => total(samples, `motet_${name}`, labels);
  const asks = of("request_seconds_count");
  return html`
    <div class="grains">
      <${Card} title="Errors" kind="bad" noun="problem" none="None since the server began." said=${wrong} />
      <${Card} title="Stand-ins" kind="fair" noun="column" about="What failed, was late or had nothing to give:" none="None since the server began: every column could be had." said=${stood} />
      <${Card} title="Stale" kind="fair" noun="reason" none="Nothing: what answers is what was published last." said=${stale} />
      <${Card} title="Answering" said=${[`Version ${about.answers}${mine ? `, published ${moment(mine.when)}` : ""}.`,
        `${many(of("answers_total"), "ask")} answered, ${many(asks, "request")}${asks ? `, ${span(of("request_seconds_sum") / asks)} on average` : ""}.`,
        `${count(of("queue_length"))} wait now.`]} />
    </div>
    <div class="pairs">
      <${Table} caption="Prepared columns" head=${["column", "rows", "missing"]} right=${[1]}
        rows=${about.prepared.map((one) => [named(graph, one.column), count(one.rows), missingIn(one)])} />
      <${Table} caption="Versions" head=${["version", "published", "before it", ""]}
        rows=${about.versions.toReversed().map((one) => [one.number, moment(one.when), one.before ?? "–", html`
          ${one.number === about.answers && html`<${Tag} kind="good">answers</${Tag}> `}${one.current && html`<${Tag}>published</${Tag}>`}`])} />
      <${Table} caption="Data" head=${["record", "rows"]} right=${[1]} rows=${Object.entries(about.data).map(([name, rows]) => [name, count(rows)])} />
      <${Table} caption="Requests" head=${["endpoint", "status", "requests"]} right=${[2]} rows=${requestsIn(samples)} />
    </div>`;
}

/** What is said of one thing. noun: of what each sentence tells one, where it is good to have none. about: all of them. */
function Card({ title, said, kind, noun, about, none }) {
  const fine = !said.length;
  return html`<section aria-label=${title}><article>
    <h2>${title} ${noun && html`<${Tag} kind=${fine ? "good" : kind}>${fine ? "fine" : many(said.length, noun)}</${Tag}>`}</h2>
    ${!fine && about && html`<p class="quiet">${about}</p>`}
    ${fine ? html`<p>${none}</p>` : said.map((one) => html`<p>${one}</p>`)}
  </article></section>`;
}

function staleIn({ answers, published, versions, damaged, seen, returns }) {
  const said = damaged.map((number) => `Version ${number} is damaged: nothing can go back to it.`);
  const mine = versions.find((one) => one.number === answers);
  if (published === null) said.push("Nothing that can be read is published: motet rollback FILE.py:GRAPH.");
  else if (published !== answers) said.push(`Version ${published} is published, and ${answers} answers: the server's log says why it was refused, or it is being tried out.`);
  if (mine && Date.now() / 1000 - mine.when > OLD) said.push(`It was prepared more than a week ago: motet prepare FILE.py:GRAPH.`);
  if (seen) said.push(`${count(seen)} ${seen === 1 ? "event has" : "events have"} happened since it was prepared: requests see them, its models have not learnt from them.`);
  if (returns !== null && returns !== answers) said.push(`Returns were measured with version ${returns}.`);
  return said;
}

function wrongIn(samples, gone) {
  const said = gone ? [gone.message] : [];
  const tell = (name, noun, about) => {
    const number = total(samples, `motet_${name}_total`);
    if (number) said.push(`${many(number, noun)} ${about}.`);
  };
  tell("failed", "ask", "failed, or got no answer in time");
  tell("shed", "ask", "refused, since too many waited");
  tell("versions_refused", "version", "failed the dry run");
  return said;
}

/** Columns that could not be had, and who answered instead. */
function stoodIn(samples, graph) {
  const found = samples.filter((one) => one.name === "motet_model_fallbacks_total" && one.value);
  return found.map(({ labels, value }) => html`<code>${named(graph, labels.model)}</code>: ${instead(graph, labels.model, value)}`);
}

function missingIn({ missing }) {
  const said = Object.entries(missing);
  return said.length ? said.map(([why, rows]) => `${count(rows)} × ${why}`).join("; ") : "none";
}

function requestsIn(samples) {
  const found = samples.filter((one) => one.name === "motet_requests_total" && !one.labels.endpoint.startsWith("/console"));
  found.sort((a, b) => b.labels.status.localeCompare(a.labels.status) || b.value - a.value);
  return found.map(({ labels, value }) => [labels.endpoint, labels.status, count(value)]);
}
