// What every page is made with. Text goes into the page as text: nothing here parses what a server or a model says.

import { h } from "preact";
import { useEffect, useState } from "preact/hooks";
import htm from "htm";
import { read } from "./server.js";

export const html = htm.bind(h);

/** What a path says: {value, problem, again}. every: seconds between looks, none for one look. */
export function useRead(path, { every = 0, with: load = read } = {}) {
  const [found, set] = useState({});
  const [turn, again] = useState(0);
  useEffect(() => {
    let left = false;
    let timer;
    const look = async () => {
      try {
        const value = await load(path);
        if (!left) set({ value });
      } catch (problem) {
        if (!left) set((before) => ({ ...before, problem }));
      }
      if (!left && every) timer = setTimeout(look, 1000 * every);
    };
    look();
    return () => {
      left = true;
      clearTimeout(timer);
    };
  }, [path, turn]);
  return { ...found, again: () => again(turn + 1) };
}

/** A page that is made of what some paths say, once all have said it. */
export function Loaded({ of, children }) {
  const failed = of.find((one) => one.problem && !one.value);
  if (failed) return html`<${Wrong} problem=${failed.problem} />`;
  if (of.some((one) => !one.value)) return html`<p class="quiet" aria-busy="true">Reading …</p>`;
  return children(...of.map((one) => one.value));
}

export function Wrong({ problem }) {
  return html`<div class="wrong" role="alert">
    <strong>${problem.message}</strong>
    ${problem.help && html`<p>${problem.help}</p>`}
  </div>`;
}

/** A text with what stands between backticks as code. */
export const coded = (text) => text.split(/`([^`]+)`/).map((part, i) => (i % 2 ? html`<code>${part}</code>` : part));

/** What a column is called; where its author gave it no name, that is short, and how it is made is told beside it. */
export const named = (graph, column) => (isNameless(graph, column) ? html`<span title=${column}>${graph.called[column]}</span>` : column);
export const isNameless = (graph, column) => Object.hasOwn(graph.called, column);

/** Who answered how often where a column could not be had. */
export function instead(graph, column, times) {
  const cheap = graph.places.find((place) => place.column === column)?.cheap;
  if (cheap === "nothing") return `${many(times, "time")} left empty`;
  return html`${many(times, "time")} ${!cheap || cheap === "otherwise" ? "what is declared" : html`<code>${named(graph, cheap)}</code>`} answered instead`;
}

export function Tag({ kind = "", children }) {
  return html`<span class=${`tag ${kind}`}>${children}</span>`;
}

/** rows: arrays of cells. right: indexes of columns of numbers. */
export function Table({ caption, head, rows, right = [] }) {
  const side = (i) => (right.includes(i) ? "number" : "");
  return html`<div class="wide" tabindex="0" role="region" aria-label=${caption}>
    <table>
      <caption>${caption}</caption>
      <thead><tr>${head.map((name, i) => html`<th scope="col" class=${side(i)}>${name}</th>`)}</tr></thead>
      <tbody>${rows.map((row) => html`<tr>${row.map((cell, i) =>
        i ? html`<td class=${side(i)}>${cell}</td>` : html`<th scope="row">${cell}</th>`)}</tr>`)}</tbody>
    </table>
  </div>`;
}

const UNITS = [[3600, "h", 5400], [60, "min", 90], [1, "s", 1], [1e-3, "ms", 1e-3], [1e-6, "µs", 0]]; // from when on

/** A length of time in the unit that fits it. */
export function span(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  const [size, unit] = UNITS.find(([, , least]) => seconds >= least) ?? UNITS.at(-1);
  return `${digits(seconds / size)} ${unit}`;
}

/** Three digits; large numbers to the unit. */
export function digits(number) {
  if (number === null || number === undefined) return "–";
  if (number === 0) return "0";
  if (Math.abs(number) >= 1000) return Math.round(number).toLocaleString("en");
  return number.toLocaleString("en", { maximumSignificantDigits: 3 });
}

export const count = (number) => (number ?? 0).toLocaleString("en");
export const many = (number, noun) => `${count(number)} ${noun}${number === 1 ? "" : "s"}`;

export function moment(seconds) {
  return new Date(1000 * seconds).toISOString().slice(0, 16).replace("T", " ") + " UTC";
}
