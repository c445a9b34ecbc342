// A conversation: what was said so far, as the one text that the graph reads. A turn a line, ours behind a mark.

import { html } from "./view.js";

const MARK = "> ";
const plain = (text) => text.split(/\s+/).join(" ").trim().replace(/^[> ]+/, "");

export const lines = (turns) => turns.map(({ text, ours }) => (ours ? MARK : "") + plain(text)).join("\n");

/** What the assistant said: the text, or else the names of what it found, so that "the second one" is known. */
export function replied(graph, outputs, titleOf) {
  const written = graph.outputs.filter((one) => one.kind === "Text" && one.late).map((one) => outputs[one.name]).find(Boolean);
  if (written) return [{ text: written, ours: true }];
  const list = graph.outputs.find((one) => one.entity && outputs[one.name]?.length);
  return list ? [{ text: outputs[list.name].slice(0, 3).map((item) => titleOf(list, item)).join(", "), ours: true }] : [];
}

export function Turns({ turns, restart }) {
  if (!turns.length) return null;
  return html`<article>
    <h2>so far</h2>
    <ol class="turns">
      ${turns.map(({ text, ours }) => html`<li class=${ours ? "ours" : ""}><span class="quiet">${ours ? "Motet" : "you"}</span> ${text}</li>`)}
    </ol>
    <button class="plain" type="button" onClick=${restart}>Start over</button>
  </article>`;
}
