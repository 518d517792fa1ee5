// The table of all maps and the chart of their memory. All text of the program is set with textContent, and never
// parsed as HTML.
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const maps = data.maps, texts = maps.texts, total = maps.held.length;
  const ROWS = 50;
  const TEXTS = new Set(["type", "package", "owner", "place"]);
  const at = (id) => document.getElementById(id);
  const described = new Set([...document.querySelectorAll("details[id]")].map((one) => one.id));
  const corrupt = new Set(maps.corrupt);
  const number = new Intl.NumberFormat("en-US");
  const lower = texts.map((text) => text.toLowerCase());

  /** Bytes as gomap.human.size writes them. */
  function size(bytes) {
    if (bytes < 1024) return `${bytes} B`;
    const units = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    let unit = -1;
    do { bytes /= 1024; unit += 1; } while (bytes >= 1024 && unit < units.length - 1);
    return `${bytes >= 100 ? bytes.toFixed(0) : bytes.toFixed(1)} ${units[unit]}`;
  }

  /** A name without the directories of packages, as gomap.human.short has it. */
  const short = (name) => name.replace(/(?:[\p{L}\p{N}_.~%-]+\/)+/gu, "");

  /** Text that may be broken before a dot or bracket. */
  function breaking(made, text) {
    text.split(/(?=[.\[(/])/).forEach((part, i) => made.append(...(i ? [document.createElement("wbr"), part] : [part])));
    return made;
  }

  const DIRECTORIES = /^(?:[\p{L}\p{N}_.~%-]+\/)+/u;

  function element(tag, text, name) {
    const made = document.createElement(tag);
    if (text !== undefined) made.textContent = text;
    if (name) made.className = name;
    return made;
  }

  // -- the table of all maps

  let order = { column: "held", down: true };
  let only = null; // a group: {by, text}
  let listed = [], first = 0;

  function matches(words) {
    const which = at("which").value;
    const found = [];
    for (let i = 0; i < total; i++) {
      if (which === "own" && maps.std[i]) continue;
      if (which === "std" && !maps.std[i]) continue;
      if (which === "none" && maps.path[i] !== "") continue;
      if (which === "detail" && !described.has(`map-${maps.address[i]}`)) continue;
      if (only && texts[maps[only.by][i]] !== only.text) continue;
      if (words.every((word) => hasWord(i, word))) found.push(i);
    }
    return found;
  }

  const hasWord = (i, word) =>
    maps.path[i].toLowerCase().includes(word) || lower[maps.type[i]].includes(word) ||
    lower[maps.place[i]].includes(word) || lower[maps.package[i]].includes(word) || `0x${maps.address[i]}`.includes(word);

  function sort(rows) {
    const column = maps[order.column], sign = order.down ? -1 : 1;
    if (order.column === "path") {
      // Maps without a variable come last, whatever the order.
      rows.sort((a, b) => (column[a] === "") - (column[b] === "") || sign * (column[a] < column[b] ? -1 : column[a] > column[b]));
    } else if (TEXTS.has(order.column)) {
      rows.sort((a, b) => sign * (texts[column[a]] < texts[column[b]] ? -1 : texts[column[a]] > texts[column[b]]));
    } else {
      rows.sort((a, b) => (column[a] === null) - (column[b] === null) || sign * (column[a] - column[b]));
    }
    return rows;
  }

  function find() {
    const words = at("words").value.toLowerCase().split(/\s+/).filter(Boolean);
    listed = sort(matches(words));
    first = 0;
    draw();
  }

  function cell(text, name, label) {
    const made = element("td", text, name);
    if (label) made.dataset.name = label;
    return made;
  }

  function row(i) {
    const made = document.createElement("tr");
    const entries = number.format(maps.count[i]) + (maps.bound[i] ? ` ± ${number.format(maps.bound[i])}` : "");
    made.append(
      cell(size(maps.held[i]), "num", "held"),
      cell(size(maps.waste[i]), "num", "waste"),
      cell(entries, "num", "entries"),
      cell(maps.load[i] === null ? "" : `${(maps.load[i] / 10).toFixed(0)}%`, "num", "load"),
    );
    const map = element("td", undefined, "map");
    const id = `map-${maps.address[i]}`, place = texts[maps.place[i]];
    const name = element(described.has(id) ? "a" : "span", undefined, "path"), path = maps.path[i];
    const bare = DIRECTORIES.exec(path)?.[0] ?? "";
    name.append(breaking(element("span", undefined, "muted"), bare));
    breaking(name, path.slice(bare.length) || place);
    if (described.has(id)) name.href = `#${id}`;
    const under = [maps.path[i] ? place : "", `0x${maps.address[i]}`].filter(Boolean).join(" · ");
    map.append(name, element("span", under, "under"));
    if (corrupt.has(i)) map.append(element("span", "corrupt", "verdict corrupt"));
    const type = element("td", undefined, "type"), whole = texts[maps.type[i]];
    const called = breaking(element("span", undefined, "code"), short(whole));
    called.title = whole;
    type.append(called);
    made.append(map, type);
    return made;
  }

  function draw() {
    at("table").tBodies[0].replaceChildren(...listed.slice(first, first + ROWS).map(row));
    let held = 0;
    for (const i of listed) held += maps.held[i];
    const count = listed.length;
    const all = count === total ? "" : ` of ${number.format(total)}`;
    at("count").textContent = count
      ? `${number.format(count)}${all} ${total === 1 ? "map" : "maps"}, ${size(held)} held`
      : total ? "No map matches the filter." : "No map was found.";
    at("place").textContent = count ? `${number.format(first + 1)}–${number.format(Math.min(first + ROWS, count))} of ${number.format(count)}` : "";
    at("pager").hidden = count <= ROWS;
    const last = Math.max(Math.ceil(count / ROWS) - 1, 0) * ROWS;
    for (const button of at("pager").querySelectorAll("button")) {
      button.disabled = ["first", "back"].includes(button.dataset.go) ? first === 0 : first === last;
    }
    at("clear").hidden = !only;
    at("clear").textContent = only ? `${only.by}: ${short(only.text)} ✕` : "";
    at("clear").setAttribute("aria-label", only ? `Show maps of all ${only.by}s again` : "");
    at("table").hidden = !count;
    for (const heading of at("table").tHead.rows[0].cells) {
      if (heading.dataset.column === order.column) heading.setAttribute("aria-sort", order.down ? "descending" : "ascending");
      else heading.removeAttribute("aria-sort");
    }
  }

  for (const heading of at("table").tHead.rows[0].cells) {
    heading.firstElementChild.addEventListener("click", () => {
      const column = heading.dataset.column;
      // Numbers begin with the largest, texts with the first.
      order = { column, down: order.column === column ? !order.down : column !== "path" && !TEXTS.has(column) };
      find();
    });
  }
  at("filter").addEventListener("submit", (event) => event.preventDefault());
  at("words").addEventListener("input", find);
  at("which").addEventListener("change", find);
  at("clear").addEventListener("click", () => { only = null; find(); at("words").focus(); });
  at("pager").addEventListener("click", (event) => {
    const go = event.target.dataset.go, last = Math.max(Math.ceil(listed.length / ROWS) - 1, 0) * ROWS;
    if (!go) return;
    first = { first: 0, back: Math.max(first - ROWS, 0), next: Math.min(first + ROWS, last), last }[go];
    draw();
  });

  function showGroup(by, text) {
    only = { by, text };
    find();
    at("maps").scrollIntoView();
    at("clear").focus({ preventScroll: true });
  }

  // -- groups: a table, and the same as a chart

  let by = "package";
  const HEADINGS = ["held", "waste", "maps", "entries"];

  function drawGroups() {
    const { groups, more, number: all } = data.groups[by];
    const head = document.createElement("tr");
    const heading = (text, name) => { const made = element("th", text, name); made.scope = "col"; return made; };
    head.append(...HEADINGS.map((text) => heading(text, "num")), heading(by, ""));
    at("groups").tHead.replaceChildren(head);
    at("groups").tBodies[0].replaceChildren(...groups.slice(0, 12).map((group) => {
      const made = document.createElement("tr");
      const [text, held, waste, count, entries] = group;
      made.append(...[size(held), size(waste), number.format(count), number.format(entries)].map((one, i) => cell(one, "num", HEADINGS[i])));
      const named = element("td", undefined, "group"), button = document.createElement("button");
      const bare = DIRECTORIES.exec(text)?.[0] ?? "";
      button.append(breaking(element("span", undefined, "muted"), bare), text.slice(bare.length));
      button.type = "button";
      button.title = `${text}: show its maps`;
      button.addEventListener("click", () => showGroup(by, text));
      named.append(button);
      made.append(named);
      return made;
    }));
    const rest = groups.slice(12).reduce((sum, group) => sum + group[1], more[0] || 0);
    at("groups-more").textContent = all > 12 ? `${number.format(all - 12)} more groups hold ${size(rest)}.` : "";
    for (const button of document.querySelectorAll("[data-by]")) button.setAttribute("aria-pressed", String(button.dataset.by === by));
    drawChart();
  }

  /** Text for plotly.js, which takes some tags and entities for formatting. */
  const escaped = (text) => text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");

  function drawChart() {
    const { groups, more, number: all, part } = data.groups[by];
    if (typeof Plotly === "undefined" || !groups.length) return;
    at("chart").hidden = at("chart-note").hidden = false; // plotly.js draws into the room that there is
    const css = getComputedStyle(document.documentElement), color = (name) => css.getPropertyValue(name).trim();
    const ids = [], labels = [], parents = [], values = [], notes = [], shades = [];
    const palette = matchMedia("(prefers-color-scheme: dark)").matches
      ? ["#1d5c6b", "#2d5a45", "#5d4f2a", "#4a4468", "#5e3f4f", "#35526f"]
      : ["#b9dfe8", "#c5e3cf", "#ecdfb8", "#d8d3ee", "#efd2de", "#cddff2"];
    const add = (id, label, parent, figures, shade) => {
      ids.push(id); labels.push(escaped(short(label))); parents.push(parent); values.push(figures[0]); shades.push(shade);
      notes.push(`${escaped(label)}<br>${size(figures[0])} held, ${size(figures[1])} waste<br>${number.format(figures[2])} maps, ${number.format(figures[3])} entries`);
    };
    groups.forEach(([text, held, waste, count, entries, parts], i) => {
      const shade = palette[i % palette.length];
      add(`${i}`, text, "", [held, waste, count, entries], shade);
      if (parts.length < 2) return;
      const seen = [0, 0, 0, 0];
      parts.forEach(([name, ...figures], j) => {
        figures.forEach((one, k) => { seen[k] += one; });
        add(`${i}/${j}`, name, `${i}`, figures, groups.length < 3 ? palette[j % palette.length] : shade);
      });
      if (seen[0] < held) add(`${i}/more`, `other ${part}s`, `${i}`, [held, waste, count, entries].map((one, k) => one - seen[k]), shade);
    });
    if (more.length && more[0]) add("more", `${number.format(all - groups.length)} more`, "", more, color("--faint"));
    Plotly.react("chart", [{
      type: "treemap", branchvalues: "total", ids, labels, parents, values, customdata: notes,
      hovertemplate: "%{customdata}<extra></extra>", texttemplate: "%{label}", textfont: { color: color("--ink") },
      marker: { colors: shades, line: { width: 1, color: color("--card") }, pad: { t: 20, l: 2, r: 2, b: 2 } },
      pathbar: { visible: true, thickness: 22, textfont: { color: color("--ink") } }, tiling: { pad: 1 },
    }], {
      margin: { t: 4, l: 0, r: 0, b: 0 }, paper_bgcolor: "rgba(0,0,0,0)", font: { family: css.getPropertyValue("--sans"), size: 13 },
      hoverlabel: { bgcolor: color("--card"), bordercolor: color("--line"), font: { color: color("--ink") } },
      treemapcolorway: palette, uniformtext: { minsize: 10, mode: "hide" },
    }, { displayModeBar: false, responsive: true });
  }

  for (const button of document.querySelectorAll("[data-by]")) {
    button.addEventListener("click", () => { by = button.dataset.by; drawGroups(); });
  }
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawChart);

  // -- maps in detail: a link opens its part

  function open() {
    const asked = location.hash.length > 1 && at(location.hash.slice(1));
    if (asked && asked.tagName === "DETAILS") { asked.open = true; asked.scrollIntoView(); }
  }
  addEventListener("hashchange", open);

  find();
  drawGroups();
  open();
  addEventListener("load", drawChart); // plotly.js stands behind this script, so that the table need not wait for it
})();
