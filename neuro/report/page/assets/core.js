"use strict";
// What every figure of the page uses: data, colours, controls, drawing. Text from data goes into the page as text, never as markup.
const neuro = (() => {
  const figures = JSON.parse(document.getElementById("figures").textContent);
  const drawn = new Map();

  function el(tag, attributes = {}, ...children) {
    const node = document.createElement(tag);
    for (const [key, value] of Object.entries(attributes)) {
      if (key === "class") node.className = value;
      else if (key in node && typeof value !== "string") node[key] = value;
      else node.setAttribute(key, value);
    }
    node.append(...children.map((c) => (c instanceof Node ? c : document.createTextNode(String(c)))));
    return node;
  }

  // Plotly reads a few tags, entities and %{...} in its texts: a name must be none of these.
  const plain = (text) =>
    String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;").replace(/%/g, "&#37;");
  // Names often differ at their ends: what is too long loses its middle.
  function short(text, most = 22) {
    const letters = [...String(text)], head = Math.ceil((most - 1) * 0.55);
    return letters.length <= most ? letters.join("") : letters.slice(0, head).join("") + "…" + letters.slice(letters.length - (most - 1 - head)).join("");
  }

  function ink() {
    const style = getComputedStyle(document.documentElement);
    const get = (name) => style.getPropertyValue("--" + name).trim();
    const names = ["paper", "ink", "quiet", "rule", "hair", "wash", "grey", "pale", "band", "tint", "good", "bad"];
    return { ...Object.fromEntries(names.map((n) => [n, get(n)])), series: [0, 1, 2, 3, 4, 5].map((k) => get("c" + k)) };
  }

  const narrow = () => window.innerWidth < 760;
  const coarse = () => window.matchMedia("(pointer: coarse)").matches;

  function axis(more = {}) {
    const c = ink();
    return {
      gridcolor: c.hair, linecolor: c.rule, zeroline: false, showline: false, ticks: "", automargin: true,
      tickfont: { size: 12, color: c.quiet }, title: { font: { size: 12.5, color: c.quiet }, standoff: 8 }, ...more,
    };
  }
  const titled = (text) => ({ text, font: { size: 12.5, color: ink().quiet }, standoff: 8 });

  function layout(height, more = {}) {
    const c = ink();
    return {
      height, autosize: true, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", showlegend: false,
      font: { family: getComputedStyle(document.body).fontFamily, size: 12.5, color: c.ink },
      margin: { l: 8, r: 12, t: 8, b: 36 }, dragmode: coarse() ? false : "zoom", hovermode: "closest",
      hoverlabel: { bgcolor: c.ink, bordercolor: c.ink, font: { color: c.paper, size: 12.5 }, align: "left" },
      modebar: { bgcolor: "rgba(0,0,0,0)", color: c.pale, activecolor: c.quiet }, ...more,
    };
  }

  // Under a finger a drag scrolls the page, so that zoom needs buttons: where zoom is worth their room.
  const ZOOMED = ["raster", "tradeoff-chart", "training-chart"];
  const config = (id) => ({
    displaylogo: false, showSendToCloud: false, plotlyServerURL: "", responsive: true, displayModeBar: coarse() ? ZOOMED.includes(id) : "hover", doubleClick: "reset", showTips: false,
    modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d", "toggleSpikelines", "hoverClosestCartesian", "hoverCompareCartesian"],
  });

  // build() gives {data, layout}; the figure is built again when a choice or the theme changes.
  function draw(id, build) {
    const node = document.getElementById(id);
    if (!node) return null;
    drawn.set(id, build);
    const { data, layout: l } = build();
    node.style.minHeight = l.height + "px";
    Plotly.react(node, data, l, config(id));
    return node;
  }
  const redraw = () => drawn.forEach((build, id) => draw(id, build));

  // A group of radio buttons, or a list where there are many; one name alone needs no choice.
  function choice(host, name, options, chosen, choose) {
    if (!host || options.length < 2) return;
    if (options.length > 8 || options.join("").length + 4 * options.length > (narrow() ? 36 : 92)) {
      const select = el("select", { "aria-label": name }, ...options.map((o, k) => el("option", { value: String(k) }, short(o, 60))));
      select.value = String(chosen);
      select.addEventListener("change", () => choose(Number(select.value)));
      host.append(el("label", { class: "choice" }, el("span", { class: "name" }, name), select));
      return;
    }
    const group = "choice-" + host.id + "-" + name.replace(/\W/g, "");
    const labels = options.map((o, k) => {
      const input = el("input", { type: "radio", name: group, value: String(k), checked: k === chosen });
      input.addEventListener("change", () => choose(k));
      return el("label", { title: o }, input, short(o, 28));
    });
    host.append(el("fieldset", { class: "choice" }, el("legend", {}, name), el("div", { class: "segments" }, ...labels)));
  }

  function legend(id, entries) {
    const host = document.getElementById(id);
    if (!host) return;
    host.replaceChildren(...entries.map(([text, colour, line]) => {
      const words = el("bdi", {}, short(text, 48));
      if (!colour) return el("span", {}, words);
      const swatch = el("i", { class: line ? "line" : "" });
      swatch.style.background = colour;
      return el("span", {}, swatch, words);
    }));
  }

  function notes(id, texts) {
    const host = document.getElementById(id);
    if (host) host.replaceChildren(...texts.filter(Boolean).map((t) => el("p", {}, el("bdi", {}, t))));
  }

  function bytes(text) {
    const raw = atob(text), out = new Uint8Array(raw.length);
    for (let k = 0; k < raw.length; k++) out[k] = raw.charCodeAt(k);
    return out;
  }

  function si(value, unit) {
    if (value === 0) return "0 " + unit;
    const k = Math.min(Math.max(Math.floor(Math.log10(Math.abs(value)) / 3), -5), 0);
    return Number((value / 10 ** (3 * k)).toPrecision(3)).toLocaleString("en") + " " + ["f", "p", "n", "µ", "m", ""][k + 5] + unit;
  }

  function theme() {
    let kept = null;
    try { kept = localStorage.getItem("neuro-theme"); } catch { /* a file of its own may have no storage */ }
    const options = ["Auto", "Light", "Dark"], values = ["", "light", "dark"];
    const set = (k) => {
      if (values[k]) document.documentElement.dataset.theme = values[k];
      else delete document.documentElement.dataset.theme;
      try { localStorage.setItem("neuro-theme", values[k]); } catch { /* as above */ }
      redraw();
    };
    const start = Math.max(values.indexOf(kept ?? ""), 0);
    choice(document.getElementById("theme"), "Theme", options, start, set);
    if (start) document.documentElement.dataset.theme = values[start];
    window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  }
  theme();

  return { coarse, figures, el, plain, short, ink, narrow, axis, titled, layout, draw, choice, legend, notes, bytes, si };
})();
