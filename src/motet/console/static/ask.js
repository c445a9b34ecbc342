// Ask: the event's fields in, the graph's answer out; what is told to have happened changes the next answer.

import { useEffect, useRef, useState } from "preact/hooks";
import { Fields, asked } from "./form.js";
import { post, read, told } from "./server.js";
import { Turns, lines, replied } from "./turns.js";
import { Loaded, Tag, Wrong, count, digits, html, named, useRead } from "./view.js";

const FEW = 10; // items that are shown at first

export function Ask() {
  const graph = useRead("/v1/graph");
  const document = useRead("/openapi.json");
  return html`<${Loaded} of=${[graph, document]}>
    ${(facts, api) => html`<${Asking} graph=${facts} api=${api} />`}
  </${Loaded}>`;
}

function Asking({ graph, api }) {
  const media = api.paths["/v1/ask"].post.requestBody.content["application/json"];
  const [state, set] = useState({ outputs: {}, phase: "idle" });
  const [news, tell] = useState("");
  const [turns, say] = useState([]);
  const running = useRef(null);
  useEffect(() => () => running.current?.abort(), []);

  const ask = async (row, before = null) => {
    running.current?.abort();
    const stop = (running.current = new AbortController());
    let now = { row, before, outputs: before ?? {}, phase: "asking" };
    const step = (more) => stop.signal.aborted || set((now = { ...now, ...more }));
    step({});
    let outputs = {};
    try {
      for await (const { name, value } of told("/v1/ask", row, stop.signal)) {
        if (name === "answer") {
          if (!Object.keys(outputs).length && api.paths["/v1/why"]) post("/v1/why", row).then((why) => step({ why }), () => {});
          step({ outputs: (outputs = { ...outputs, ...value }) });
        }
        if (name === "done") step({ ...value, phase: "done" });
      }
    } catch (problem) {
      step({ problem, outputs, phase: "idle" });
      return null;
    }
    return outputs;
  };
  const submit = (event) => {
    event.preventDefault();
    tell("");
    const row = asked(event.target, media.schema, media.example);
    const field = graph.conversation;
    if (!field) return ask(row);
    const said = (row[field] ?? "").trim();
    const now = said ? [...turns, { text: said }] : turns;
    say(now);
    event.target.elements[field].value = "";
    const answered = ask({ ...row, [field]: lines(now) });
    const mine = running.current;
    answered.then((outputs) => mine.signal.aborted || !outputs || say([...now, ...replied(graph, outputs, titleOf)]));
  };
  const restart = () => {
    running.current?.abort();
    say([]);
    set({ outputs: {}, phase: "idle" });
  };
  const happened = async (output, item, liked) => {
    const before = state.outputs;
    try {
      await post("/v1/events", eventOf(graph, api, state.row, output, item, liked));
      const after = await ask(state.row, before);
      tell(`${titleOf(output, item)}: kept as ${liked ? "liked" : "seen"}.${after ? ` ${changed(graph, before, after)}` : ""}`);
    } catch (problem) {
      set({ ...state, problem });
    }
  };
  const { outputs, phase, problem } = state;
  const waits = phase === "asking";
  return html`<div class="sides">
    <form onSubmit=${submit} aria-label=${graph.event.name}>
      <${Fields} schema=${media.schema} example=${media.example} />
      <button type="submit" aria-busy=${waits ? "true" : undefined}>Ask</button>
    </form>
    <section aria-label="Answer">
      <p class="news" role="status">${news}</p>
      <${Turns} turns=${turns} restart=${restart} />
      ${problem && html`<${Wrong} problem=${problem} />`}
      ${phase === "idle" && !problem && html`<p class="quiet">Nothing has been asked yet.</p>`}
      ${graph.outputs.filter((one) => one.kind === "Text").map((one) => html`
        <${Reply} output=${one} outputs=${outputs} graph=${graph} waits=${waits} />`)}
      ${graph.outputs.filter((one) => one.entity && outputs[one.name]).map((one) => html`
        <${Items} key=${one.name} output=${one} graph=${graph} state=${state} happened=${happened} />`)}
      <${Values} graph=${graph} outputs=${outputs} />
      ${state.answered_by && html`<${Who} state=${state} graph=${graph} />`}
    </section>
  </div>`;
}

/** What happened to an item, as an event: the fields of the ask, and the outcomes that say so. */
function eventOf(graph, api, row, output, item, liked) {
  const fields = { ...row };
  for (const [name, field] of Object.entries(api.paths["/v1/ask"].post.requestBody.content["application/json"].schema.properties)) {
    if (field.description?.includes("without it, now")) delete fields[name];
  }
  for (const outcome of graph.event.outcomes) {
    if (outcome.entity === output.entity) fields[outcome.name] = item[output.key];
    else if (liked && outcome.high !== undefined && outcome.high !== null) fields[outcome.name] = outcome.high;
  }
  const id = [...crypto.getRandomValues(new Uint8Array(12))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  const beside = { id: `console-${id}`, type: graph.event.name };
  return isNested(api, graph.event.name) ? { ...beside, fields } : { ...beside, ...fields };
}

function isNested(api, event) {
  const body = api.paths["/v1/events"].post.requestBody.content["application/json"].schema.anyOf[0];
  const shapes = body.anyOf ?? [body];
  const mine = shapes.find((one) => one.properties.type.enum[0] === event);
  return mine?.properties.fields?.type === "object";
}

const keysOf = (output, items) => (items ?? []).map((item) => item[output.key]);

/** What an event has changed, in a sentence. */
function changed(graph, before, after) {
  const said = graph.outputs.filter((one) => one.entity).flatMap((one) => {
    const [was, is] = [keysOf(one, before[one.name]), keysOf(one, after[one.name])];
    const gone = (before[one.name] ?? []).filter((item) => !is.includes(item[one.key]));
    const moved = is.filter((key, i) => was[i] !== key).length;
    if (!moved && !gone.length) return [];
    const names = gone.slice(0, 2).map((item) => titleOf(one, item)).join(", ");
    const more = gone.length > 2 ? ` and ${count(gone.length - 2)} more` : "";
    return [`${one.name}: ${count(moved)} of ${count(is.length)} places changed${gone.length ? `, gone: ${names}${more}` : ""}.`];
  });
  return said.join(" ") || "The next answer is the same.";
}

function titleOf(output, item) {
  const text = Object.entries(item).find(([name]) => name !== output.key && name !== "score")?.[1];
  return text || String(item[output.key]);
}

const between = (i, many) => (i === 0 ? "" : i === many - 1 ? " and " : ", ");

/** How an output comes about: ranked by score, found by taste, meaning and named. */
const Steps = ({ output, graph }) => output.steps.length > 0 && html`<p class="quiet">
  ${output.steps.map((step, i) => html`${i ? ", " : ""}${step.does} by ${step.by.map((by, j) => html`${between(j, step.by.length)}<code>${named(graph, by)}</code>`)}`)}</p>`;

function Reply({ output, outputs, graph, waits }) {
  const text = outputs[output.name];
  const late = waits && output.late && text === undefined;
  if (!late && text === undefined) return null;
  const lists = graph.outputs.filter((one) => one.entity);
  const known = lists.flatMap((one) => (outputs[one.name] ?? []).map((item) => [titleOf(one, item), `${one.name}-${item[one.key]}`]));
  return html`<article aria-busy=${late ? "true" : undefined}>
    <h2>${output.name}</h2>
    <${Steps} output=${output} graph=${graph} />
    <div class="prose" aria-live="polite">
      ${late ? html`<span class="quiet">is being written; the rest is there already</span>` : text ? cited(text, known) : html`<span class="quiet">nothing was written</span>`}
    </div>
  </article>`;
}

/** A text in which the titles of what was found lead to it. */
function cited(text, known) {
  const titles = known.filter(([title]) => title.length > 2).sort(([a], [b]) => b.length - a.length);
  const found = titles.map(([title, at]) => [text.indexOf(title), title, at]).filter(([place]) => place >= 0).sort(([a], [b]) => a - b)[0];
  if (!found) return text;
  const [place, title, at] = found;
  const jump = (event) => {
    event.preventDefault();
    document.getElementById(at)?.focus();
  };
  const rest = text.slice(place + title.length);
  return html`${text.slice(0, place)}<a href="#/ask" onClick=${jump}>${title}</a>${rest && cited(rest, known)}`;
}

function Items({ output, graph, state, happened }) {
  const items = state.outputs[output.name];
  const [most, show] = useState(FEW);
  const [about, learn] = useState({});
  const shown = items.slice(0, most);
  const keys = keysOf(output, shown).map(String);
  useEffect(() => {
    const wanted = keys.filter((key) => !(key in about));
    if (!wanted.length) return;
    const path = `/v1/items/${encodeURIComponent(output.entity)}?${wanted.map((key) => `key=${encodeURIComponent(key)}`).join("&")}`;
    read(path).then(({ items: found }) => learn((before) => ({ ...before, ...Object.fromEntries(found.map((one) => [one[output.key], one])) })), () => {});
  }, [keys.join(" ")]);
  const may = graph.events && graph.event.outcomes.some((one) => one.entity === output.entity);
  const likes = graph.event.outcomes.some((one) => one.high !== undefined && one.high !== null);
  const before = state.before && keysOf(output, state.before[output.name]);
  const same = state.why && (state.version ?? state.why.version) === state.why.version; // else a canary answered
  const why = Object.fromEntries(((same && state.why.why[output.name]) || []).map((one) => [one[output.key], one.by]));
  return html`<article>
    <h2>${output.name}</h2>
    <${Steps} output=${output} graph=${graph} />
    ${items.length === 0 && html`<p class="quiet">Nothing was found.</p>`}
    <ol class="items">
      ${shown.map((item, i) => html`<li key=${item[output.key]} id=${`${output.name}-${item[output.key]}`} tabindex="-1">
        <${Item} output=${output} graph=${graph} item=${item} fields=${about[item[output.key]]} rank=${i} before=${before} why=${why[item[output.key]]}>
          ${may && html`<div class="told">
            <${Told} output=${output} item=${item} says="Seen" act=${() => happened(output, item, false)} waits=${state.phase === "asking"} />
            ${likes && html`<${Told} output=${output} item=${item} says="Like" act=${() => happened(output, item, true)} waits=${state.phase === "asking"} />`}
          </div>`}
        </${Item}>
      </li>`)}
    </ol>
    ${items.length > most && html`<button class="plain" onClick=${() => show(items.length)}>Show all ${count(items.length)}</button>`}
  </article>`;
}

function Item({ output, graph, item, fields = {}, rank, before, why = {}, children }) {
  const title = titleOf(output, item);
  const others = Object.entries(fields).filter(([name, value]) => name !== output.key && value !== title && value !== null && value !== "");
  return html`
    <div class="item">
      <p class="title">${title} <${Moved} was=${before && before.indexOf(item[output.key])} rank=${rank} /></p>
      <p class="facts quiet">
        ${others.map(([name, value]) => html`<span><span class="name">${name}</span> ${Array.isArray(value) ? value.join(", ") : String(value)}</span> `)}
        <span><span class="name">score</span> ${digits(item.score)}</span>
      </p>
      <${Why} by=${why} graph=${graph} />
    </div>
    ${children}`;
}

/** Which scorers have found it, and how far up. */
function Why({ by, graph }) {
  const places = Object.entries(by).sort(([, a], [, b]) => a - b);
  if (!places.length) return null;
  return html`<p class="why quiet">found as ${places.map(([name, place], i) => html`${i ? ", " : ""}no. ${count(place)} by <code>${named(graph, name)}</code>`)}</p>`;
}

function Moved({ was, rank }) {
  if (was === null || was === undefined || was === rank) return null;
  if (was < 0) return html`<${Tag} kind="good">new</${Tag}>`;
  return html`<${Tag}>${was > rank ? `up ${was - rank}` : `down ${rank - was}`}</${Tag}>`;
}

function Told({ output, item, says, act, waits }) {
  return html`<button class="plain" type="button" disabled=${waits} onClick=${act} aria-label=${`${says}: ${titleOf(output, item)}`}>${says}</button>`;
}

/** Outputs that are neither items nor texts. */
function Values({ graph, outputs }) {
  const plain = graph.outputs.filter((one) => !one.entity && one.kind !== "Text" && one.name in outputs);
  if (!plain.length) return null;
  const said = (value) => (Array.isArray(value) ? value.join(", ") || "nothing" : typeof value === "number" ? digits(value) : String(value ?? "not known"));
  return html`<article><h2>values</h2><dl>
    ${plain.map((one) => html`<div><dt>${one.name}</dt><dd>${said(outputs[one.name])}</dd></div>`)}
  </dl></article>`;
}

/** Which of two answered, wherever there is another one. */
function Who({ state, graph }) {
  const places = graph.places.filter((place) => place.name in state.answered_by);
  return html`<article>
    <h2>who answered</h2>
    <dl>
      <div><dt>version</dt><dd>${state.version}</dd></div>
      ${places.map((place) => {
        const by = state.answered_by[place.name];
        const stands = by === place.cheap && place.cheap !== place.strong;
        const unsaid = ["otherwise", "nothing"].includes(place.cheap);
        return html`<div><dt>${named(graph, place.name)}</dt><dd>${stands
          ? html`<${Tag} kind="fair">${by === "otherwise" ? "what is declared" : named(graph, by)}</${Tag}> instead of <code>${named(graph, place.strong)}</code>`
          : html`<code>${named(graph, by)}</code>${!unsaid && html`, <span class="quiet">not <code>${named(graph, place.cheap)}</code></span>`}`}</dd></div>`;
      })}
    </dl>
  </article>`;
}
