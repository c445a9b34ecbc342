// The fields of an event as a form, made from the schema of what may be asked.

import { html } from "./view.js";

const kinds = (schema) => [schema.type ?? []].flat();

/** How a field is asked for: the control, and what its text means. */
function meaning(schema, example) {
  if (schema.enum) return { choices: schema.enum.filter((one) => one !== null), value: (text) => schema.enum.find((one) => String(one) === text) };
  if (kinds(schema).includes("boolean") && !kinds(schema).includes("array")) {
    return kinds(schema).includes("string") && !schema.description.startsWith("true")
      ? { value: (text) => text }
      : { choices: [true, false], value: (text) => text === "true" };
  }
  if (kinds(schema).includes("array")) return { several: true, value: (text) => text.split(",").map((one) => numbered(one.trim(), schema.items)) };
  if (schema["x-entity"]) return { value: (text) => (typeof example === "number" ? number(text) : text) };
  if (kinds(schema).includes("number")) return { numeric: true, value: number };
  return { long: true, value: (text) => text };
}

const numbered = (text, items) => (kinds(items ?? {}).includes("string") || items?.enum ? text : number(text));

/** A number where the text is one; the server says what is wrong with anything else. */
function number(text) {
  return text.trim() !== "" && Number.isFinite(Number(text)) ? Number(text) : text;
}

/** The ask that a form holds: what was left empty is not given. */
export function asked(form, schema, example) {
  const given = new FormData(form);
  const row = {};
  for (const [name, field] of Object.entries(schema.properties)) {
    const text = String(given.get(name) ?? "");
    const needed = schema.required?.includes(name);
    const means = meaning(field, example[name]);
    if (text !== "") row[name] = means.value(text);
    else if (needed && means.long) row[name] = "";
  }
  return row;
}

export function Fields({ schema, example }) {
  const names = Object.keys(schema.properties);
  const later = (name) => schema.properties[name].description?.includes("without it, now");
  const field = (name) => html`<${Field} name=${name} schema=${schema.properties[name]} example=${example[name]}
    needed=${schema.required?.includes(name)} />`;
  return html`
    ${names.filter((name) => !later(name)).map(field)}
    ${names.some(later) && html`<details><summary>At another time</summary>${names.filter(later).map(field)}</details>`}`;
}

function Field({ name, schema, example, needed }) {
  const means = meaning(schema, example);
  const first = needed || schema["x-entity"] ? String(example ?? "") : String(schema.default ?? "");
  const about = `about-${name}`;
  const given = { id: `field-${name}`, name, "aria-describedby": about, "aria-required": needed ? "true" : undefined };
  const control = means.choices
    ? html`<select ...${given}>
        ${!needed && html`<option value="">not given</option>`}
        ${means.choices.map((one) => html`<option selected=${String(one) === first}>${String(one)}</option>`)}
      </select>`
    : means.long
      ? html`<textarea ...${given} rows="1" defaultValue=${first} onKeyDown=${sends}></textarea>`
      : html`<input ...${given} type="text" autocomplete="off" inputmode=${means.numeric ? "decimal" : undefined}
          defaultValue=${first} />`;
  return html`<div class="field">
    <label for=${given.id}>${name}${!needed && html` <span class="quiet">(optional)</span>`}</label>
    ${control}
    <small id=${about}>${schema.description}${means.several ? ", with commas between them" : ""}</small>
  </div>`;
}

/** Enter asks, Shift and Enter begin a line. */
function sends(event) {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  event.target.form.requestSubmit();
}
