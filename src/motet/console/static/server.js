// What the console asks the server: JSON, answers that come in parts, and counts.

const KEY = "motet-key";
export const NO_KEY = "motet-no-key"; // an event of the window: a key is needed

export class Problem extends Error {
  constructor({ status = 0, title = "", detail = "", help = "" }) {
    super(detail || title || `the server says ${status}`);
    this.status = status;
    this.help = help;
  }
}

export const key = {
  get: () => sessionStorage.getItem(KEY) ?? "",
  set: (text) => sessionStorage.setItem(KEY, text),
};

async function replied(path, { body, accept, signal } = {}) {
  const headers = { Accept: accept ?? "application/json" };
  if (key.get()) headers["X-API-Key"] = key.get();
  const sent = body === undefined ? {} : { method: "POST", body: JSON.stringify(body) };
  let response;
  try {
    response = await fetch(path, { ...sent, headers, signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem({ title: "The server cannot be reached.", help: "Does motet serve still run?" });
  }
  if (response.status === 401) dispatchEvent(new Event(NO_KEY));
  if (!response.ok) throw new Problem({ status: response.status, ...(await response.json().catch(() => ({}))) });
  return response;
}

export const read = async (path) => (await replied(path)).json();
export const post = async (path, body) => (await replied(path, { body })).json();

/** The parts of an answer as they come: {name, value}. */
export async function* told(path, body, signal) {
  const response = await replied(path, { body, accept: "text/event-stream", signal });
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const blocks = (rest + value).split("\n\n");
    rest = blocks.pop();
    yield* blocks.map(part);
  }
}

function part(block) {
  const found = { name: "message", value: null };
  for (const line of block.split("\n")) {
    if (line.startsWith("event: ")) found.name = line.slice(7);
    if (line.startsWith("data: ")) found.value = JSON.parse(line.slice(6));
  }
  if (found.name === "problem") throw new Problem(found.value);
  return found;
}

const SAMPLE = /^(\w+)(?:\{(.*)\})? (\S+)$/;
const LABEL = /(\w+)="((?:[^"\\]|\\.)*)"/g;

/** What the server counts: [{name, labels, value}], as Prometheus reads it. */
export async function counts() {
  const text = await (await replied("/metrics", { accept: "text/plain" })).text();
  return text.split("\n").flatMap((line) => {
    const [, name, labels, value] = SAMPLE.exec(line) ?? [];
    if (!name) return [];
    const said = [...(labels ?? "").matchAll(LABEL)].map(([, label, is]) => [label, is.replace(/\\(.)/g, "$1")]);
    return [{ name, labels: Object.fromEntries(said), value: Number(value) }];
  });
}

/** The sum of the samples of a name that have these labels. */
export function total(samples, name, labels = {}) {
  const fits = (one) => one.name === name && Object.entries(labels).every(([label, is]) => one.labels[label] === is);
  return samples.filter(fits).reduce((sum, one) => sum + one.value, 0);
}
