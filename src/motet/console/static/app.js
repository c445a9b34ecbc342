// The frame around the pages: which one is shown, and the key that they are read with.

import { render } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { Ask } from "./ask.js";
import { Graph } from "./graph.js";
import { Health } from "./health.js";
import { Landscape } from "./landscape.js";
import { Returns } from "./returns.js";
import { NO_KEY, key } from "./server.js";
import { html } from "./view.js";

const PAGES = { ask: Ask, graph: Graph, landscape: Landscape, returns: Returns, health: Health };
const titled = (page) => page[0].toUpperCase() + page.slice(1);

function shown() {
  const page = location.hash.replace("#/", "");
  return Object.hasOwn(PAGES, page) ? page : "ask";
}

function Console() {
  const [page, show] = useState(shown());
  const [needed, need] = useState(false);
  const [turn, again] = useState(0);
  const heading = useRef(null);
  const first = useRef(true);

  useEffect(() => {
    const moved = () => show(shown());
    const refused = () => need(true);
    addEventListener("hashchange", moved);
    addEventListener(NO_KEY, refused);
    return () => {
      removeEventListener("hashchange", moved);
      removeEventListener(NO_KEY, refused);
    };
  }, []);
  useEffect(() => {
    document.title = `${titled(page)} – Motet`;
    if (!first.current) heading.current?.focus();
    first.current = false;
  }, [page]);

  const given = (text) => {
    key.set(text);
    need(false);
    again(turn + 1);
  };
  const Page = PAGES[page];
  const skip = (event) => {
    event.preventDefault();
    heading.current?.focus();
  };
  return html`
    <a class="skip" href="#content" onClick=${skip}>Skip to the page</a>
    <header>
      <span class="brand"><img src="mark.svg" alt="" width="20" height="20" /> Motet</span>
      <nav aria-label="Pages">
        ${Object.keys(PAGES).map((name) => html`
          <a href=${`#/${name}`} aria-current=${name === page ? "page" : undefined}>${titled(name)}</a>`)}
      </nav>
    </header>
    <main id="content">
      <h1 tabindex="-1" ref=${heading}>${titled(page)}</h1>
      ${needed ? html`<${KeyForm} given=${given} />` : html`<${Page} key=${`${page} ${turn}`} />`}
    </main>`;
}

function KeyForm({ given }) {
  const shown = key.get() !== "";
  const enter = (event) => {
    event.preventDefault();
    given(new FormData(event.target).get("key").trim());
  };
  return html`<form class="narrow" onSubmit=${enter}>
    <p role=${shown ? "alert" : undefined}>
      ${shown ? "The server does not know this key." : "This server answers whoever shows a key."}
      ${" "}It is kept until this tab is closed.
    </p>
    <label for="key">API key</label>
    <input id="key" name="key" type="password" autocomplete="off" required pattern="[\\x21-\\x7e]+"
      title="letters, digits and signs, without spaces" />
    <button type="submit">Use this key</button>
  </form>`;
}

document.querySelector("noscript")?.remove();
render(html`<${Console} />`, document.body);
