// What is wrong with a page for who reads it by keyboard, by ear or with weak eyes: a list of sentences.
() => {
  const faults = [];
  const all = (of) => [...document.querySelectorAll(of)];
  const shown = (element) => element.checkVisibility({ opacityProperty: true, visibilityProperty: true });
  const called = (element) => element.outerHTML.slice(0, 80);

  for (const name of ["main", "nav[aria-label]", "header", "h1"]) {
    if (all(name).length !== 1) faults.push(`${all(name).length} of ${name}`);
  }
  if (!document.documentElement.lang) faults.push("no language");
  for (const field of all("input, select, textarea")) {
    if (![...field.labels].some((label) => label.textContent.trim())) faults.push(`no label: ${called(field)}`);
  }
  for (const control of all("a, button, summary")) {
    if (!(control.getAttribute("aria-label") ?? control.textContent).trim()) faults.push(`no name: ${called(control)}`);
  }
  for (const picture of all("img")) if (!picture.hasAttribute("alt")) faults.push(`no alt: ${called(picture)}`);
  for (const picture of all("svg")) if (!picture.getAttribute("aria-label")) faults.push(`no name: ${called(picture)}`);
  for (const region of all("section, form")) if (!region.getAttribute("aria-label")) faults.push(`no name: ${called(region)}`);
  for (const described of all("[aria-describedby]")) {
    if (!document.getElementById(described.getAttribute("aria-describedby"))) faults.push(`described by nothing: ${called(described)}`);
  }
  const ids = all("[id]").map((element) => element.id);
  for (const id of new Set(ids.filter((id, i) => ids.indexOf(id) !== i))) faults.push(`id twice: ${id}`);
  const levels = all("h1, h2, h3, h4").map((heading) => Number(heading.tagName[1]));
  levels.forEach((level, i) => i && level > levels[i - 1] + 1 && faults.push(`h${levels[i - 1]} is followed by h${level}`));
  if (document.scrollingElement.scrollWidth > innerWidth) faults.push(`the page is ${document.scrollingElement.scrollWidth} wide`);

  const rgba = (text) => {
    const [r, g, b, a = 1] = text.match(/[\d.]+/g).map(Number);
    return { r, g, b, a };
  };
  const over = (top, ground) => {
    const mixed = (of) => top.a * top[of] + (1 - top.a) * ground[of];
    return { r: mixed("r"), g: mixed("g"), b: mixed("b"), a: 1 };
  };
  const ground = (element) => {
    const own = element ? rgba(getComputedStyle(element).backgroundColor) : { r: 255, g: 255, b: 255, a: 1 };
    return own.a === 1 ? own : over(own, ground(element.parentElement));
  };
  const luminance = ({ r, g, b }) => {
    const [x, y, z] = [r, g, b].map((c) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const contrast = (a, b) => {
    const [low, high] = [luminance(a), luminance(b)].sort((x, y) => x - y);
    return (high + 0.05) / (low + 0.05);
  };
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const seen = new Set();
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement;
    if (seen.has(element) || !texts.currentNode.data.trim() || !shown(element) || element.closest(":disabled")) continue;
    seen.add(element);
    const style = getComputedStyle(element);
    const behind = ground(element);
    const colour = over(rgba(element instanceof SVGElement ? style.fill : style.color), behind);
    const size = parseFloat(style.fontSize);
    const needed = size >= 24 || (size >= 18.66 && style.fontWeight >= 700) ? 3 : 4.5;
    const found = contrast(colour, behind);
    if (found < needed) faults.push(`contrast ${found.toFixed(2)}: ${called(element)}`);
  }
  return faults;
}
