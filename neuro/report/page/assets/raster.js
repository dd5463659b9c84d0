"use strict";
// One sample: spikes of inputs and neurons, states of the chosen neuron, the readout; all on one time axis.
neuro.raster = (() => {
  const { figures, el, plain, ink, axis, layout, draw, legend, notes } = neuro;
  const samples = figures.samples;
  let shown = null, chosen = null, picker = null;

  const colour = (k) => ink().series[k % 6];
  const count = (lane, unit) => lane.unit.reduce((n, u) => n + (u === unit), 0);

  function decode(states, state, unit, steps) {
    const row = states.units.indexOf(unit), packed = states.curves[state];
    if (row < 0 || !packed) return null;
    packed.levels ??= new Uint16Array(neuro.bytes(packed.data).buffer);
    const out = new Array(steps);
    for (let t = 0; t < steps; t++) {
      const level = packed.levels[row * steps + t];
      out[t] = level === 65535 ? null : packed.low[row] + level * packed.step[row];
    }
    return out;
  }

  // Populations lie under one another, each from its neuron 0 down; a population's first row is its offset.
  function stacked(lanes) {
    let offset = 0;
    return lanes.map((lane) => {
      const at = { lane, offset };
      offset += lane.size;
      return at;
    });
  }

  function spikes(at, k, isInput, dt) {
    const { lane, offset, pixels } = at, x = [], y = [], unit = [];
    const half = Math.max(0.45 * lane.every, 1.5 / pixels); // a spike is 3 pixels high or more
    for (let i = 0; i < lane.step.length; i++) {
      const t = lane.step[i] * dt, u = offset + lane.unit[i];
      x.push(t, t, null);
      y.push(u - half, u + half, null);
      unit.push(lane.unit[i], lane.unit[i], null);
    }
    const width = Math.min(Math.max(900 / Math.max(shown.steps, 1), 1), 2);
    return {
      type: "scatter", mode: "lines", x, y, customdata: unit, connectgaps: false, meta: { lane: k, input: isInput },
      line: { width, color: isInput ? ink().grey : colour(k), simplify: false },
      hovertemplate: `${plain(neuro.short(lane.name))} %{customdata}, %{x} ms<extra></extra>`,
    };
  }

  const tallest = (n, least, most) => Math.min(Math.max(n * 2.2, least), most);

  // Panels from top to bottom: {title, height, traces, axis}.
  function panels() {
    const s = shown, c = ink(), dt = s.dt_ms, time = Array.from({ length: s.steps }, (_, t) => t * dt), found = [];
    for (const [isInput, lanes, title] of [[true, s.inputs, "inputs"], [false, s.neurons, "neurons"]]) {
      if (!lanes.length) continue;
      const at = stacked(lanes), n = at.reduce((sum, a) => sum + a.lane.size, 0), height = isInput ? tallest(n, 60, 120) : tallest(n, 150, 440);
      at.forEach((a) => { a.pixels = height / n; });
      found.push({
        title, height, traces: at.map((a, k) => spikes(a, k, isInput, dt)),
        axis: {
          range: [n - 0.5, -0.5], showgrid: false, tickvals: at.map((a) => a.offset + (a.lane.size - 1) / 2),
          ticktext: at.map((a) => plain(neuro.short(a.lane.name, 9)) + `<br>${a.lane.size}`),
        },
        lanes: at, isInput,
      });
    }
    if (chosen) found.push(...statePanels(time));
    for (const readout of s.readouts) found.push(readoutPanel(readout, time));
    return found;
  }

  function statePanels(time) {
    const c = ink(), k = shown.neurons.findIndex((l) => l.name === chosen.name);
    const states = shown.states.find((x) => x.name === chosen.name), found = [];
    const line = (y, more) => ({ type: "scatter", mode: "lines", x: time, y, line: { width: 1.4, color: colour(k), ...more.line }, ...more });
    if (!states) return found;
    const v = decode(states, "v", chosen.unit, shown.steps), a = decode(states, "a", chosen.unit, shown.steps);
    if (v) {
      const traces = [], limit = states.threshold[states.units.indexOf(chosen.unit)];
      let A = null;
      if (limit) {
        A = time.map((_, t) => limit[0] + (limit[1] && a ? limit[1] * a[t] : 0));
        traces.push({ type: "scatter", mode: "lines", x: time, y: A, line: { width: 1.2, color: c.quiet, dash: "4px,3px" },
                      hovertemplate: "threshold A = %{y:,.5~r}<br>%{x} ms<extra></extra>" });
      }
      traces.push(line(v, { hovertemplate: "v = %{y:,.5~r}<br>%{x} ms<extra></extra>" }));
      const lane = shown.neurons[k], at = lane.step.filter((_, i) => lane.unit[i] === chosen.unit);
      traces.push({ type: "scatter", mode: "markers", x: at.map((t) => t * shown.dt_ms), y: at.map((t) => Math.max(v[t], A ? A[t] : v[t])), hoverinfo: "skip",
                    marker: { size: 5, color: colour(k) } });
      found.push({ title: `${plain(neuro.short(chosen.name, 14))} ${chosen.unit}: ` + (neuro.narrow() ? "membrane, threshold" : "membrane v, threshold A (broken), spikes (dots)"), height: 120, traces, axis: {} });
    }
    for (const [state, title] of [["a", "adaptation a"], ["x", "auxiliary current x"], ["u", "synaptic current u"]]) {
      const y = decode(states, state, chosen.unit, shown.steps);
      if (y) found.push({ title, height: 76, traces: [line(y, { hovertemplate: `${state} = %{y:,.5~r}<br>%{x} ms<extra></extra>` })], axis: { nticks: 4 } });
    }
    return found;
  }

  function readoutPanel(readout, time) {
    const c = ink(), few = readout.units.length <= 4, told = shown.label !== null;
    const paint = (k) => (told ? (k === shown.label ? c.series[0] : k === shown.prediction ? c.series[1] : c.pale) : few ? colour(k) : c.grey);
    const order = [...readout.units].sort((p, q) => (paint(p) !== c.pale) - (paint(q) !== c.pale));
    const traces = order.map((k) => ({
      type: "scatter", mode: "lines", x: time, y: decode(readout, "y", k, shown.steps),
      line: { width: told && paint(k) !== c.pale ? 2 : 1.1, color: paint(k), dash: told && k === shown.prediction && k !== shown.label ? "6px,3px" : "solid" },
      hovertemplate: `class ${k}: y = %{y:,.5~r}<br>%{x} ms<extra></extra>`,
    }));
    const right = shown.label === shown.prediction;
    const said = !told ? "" : right ? `; class ${shown.label} (blue), answered right` : `; class ${shown.label} (blue), answered ${shown.prediction} (broken)`;
    return { title: `${neuro.narrow() ? "" : "readout "}y of ${plain(neuro.short(readout.name, 14))}${said}`, height: 130, traces, axis: {} };
  }

  function build() {
    const found = panels(), c = ink(), gap = 30, bottom = 40, top = neuro.coarse() ? 52 : 22;
    const inner = found.reduce((h, p) => h + p.height, 0) + gap * (found.length - 1), total = inner + top + bottom;
    const l = layout(total, {
      margin: { l: neuro.narrow() ? 52 : 74, r: 16, t: top, b: bottom }, shapes: [], annotations: [],
      uirevision: shown.model, xaxis: axis({ range: [-0.5 * shown.dt_ms, (shown.steps - 0.5) * shown.dt_ms], anchor: "y" + (found.length > 1 ? found.length : ""),
        title: neuro.titled("time (ms)"), showgrid: true, automargin: false }),
    });
    const data = [];
    let y = 1;
    found.forEach((panel, k) => {
      const id = k ? String(k + 1) : "", low = Math.max(y - panel.height / inner, 0);
      l["yaxis" + id] = axis({ domain: [low, Math.min(y, 1)], automargin: false, anchor: "x", fixedrange: !panel.lanes, nticks: 5, ...panel.axis });
      l.annotations.push({ xref: "paper", yref: "paper", x: 0, y: Math.min(y, 1), xanchor: "left", yanchor: "bottom", showarrow: false,
        text: panel.title, font: { size: 12.5, color: c.quiet } });
      if (panel.lanes) {
        for (const at of panel.lanes.slice(1)) l.shapes.push({ type: "line", xref: "paper", x0: 0, x1: 1, yref: "y" + id, y0: at.offset - 0.5, y1: at.offset - 0.5, line: { color: c.rule, width: 1 } });
        const mine = !panel.isInput && chosen && panel.lanes.find((a) => a.lane.name === chosen.name);
        if (mine) {
          const at = mine.offset + chosen.unit, half = Math.max(0.6, 3.5 / mine.pixels);
          l.shapes.push({ type: "rect", xref: "paper", x0: 0, x1: 1, yref: "y" + id, y0: at - half, y1: at + half, fillcolor: c.band, line: { width: 0 }, layer: "below" });
          l.annotations.push({ xref: "paper", x: 1, xanchor: "left", yref: "y" + id, y: at, text: "◂", showarrow: false, font: { size: 13, color: c.ink } });
        }
      }
      data.push(...panel.traces.map((t) => ({ ...t, xaxis: "x", yaxis: "y" + id })));
      y -= (panel.height + gap) / inner;
    });
    return { data, layout: l };
  }

  function choose(name, unit) {
    chosen = { name, unit };
    if (picker) picker.value = JSON.stringify([name, unit]);
    const known = shown.states.find((s) => s.name === name)?.units.includes(unit);
    notes("raster-notes", [known === false ? `States of ${name} ${unit} are not in this page.` : "", ...shown.notes]);
    draw("raster", build);
  }

  function move(by) {
    const options = [...picker.options], k = options.findIndex((o) => o.value === picker.value);
    choose(...JSON.parse(options[(k + by + options.length) % options.length].value));
  }

  function pick(host) {
    if (!shown.states.length) return;
    picker = el("select", { id: "neuron", "aria-label": "Neuron" }, ...shown.states.map((s) => {
      const lane = shown.neurons.find((l) => l.name === s.name);
      return el("optgroup", { label: neuro.short(s.name, 40) }, ...s.units.map((u) =>
        el("option", { value: JSON.stringify([s.name, u]) }, `${neuro.short(s.name, 24)} ${u}${lane ? ` · ${count(lane, u)} spikes` : ""}`)));
    }));
    picker.addEventListener("change", () => choose(...JSON.parse(picker.value)));
    const step = (text, name, by) => {
      const button = el("button", { type: "button", "aria-label": name }, text);
      button.addEventListener("click", () => move(by));
      return button;
    };
    host.append(el("span", { class: "choice" }, el("span", { class: "name" }, "Neuron"), picker, step("‹", "Previous neuron", -1), step("›", "Next neuron", 1)));
  }

  // The neuron to begin with: of those that adapt, if any, the one that spiked most.
  function first() {
    const ranked = shown.states.flatMap((s) => {
      const lane = shown.neurons.find((l) => l.name === s.name);
      return s.units.map((unit) => ({ name: s.name, unit, adapts: "a" in s.curves || "x" in s.curves, n: lane ? count(lane, unit) : 0 }));
    });
    return ranked.sort((p, q) => q.adapts - p.adapts || q.n - p.n)[0] ?? null;
  }

  function show(model) {
    shown = samples.find((s) => s.model === model) ?? null;
    picker = null;
    const host = document.getElementById("neuron-controls"), node = document.getElementById("raster");
    if (host) host.replaceChildren();
    if (!node) return;
    node.hidden = !shown;
    if (!shown) {
      legend("raster-legend", []);
      notes("raster-notes", ["No sample of this model is at hand: a dense model has no spikes."]);
      return;
    }
    if (host) pick(host);
    const kinds = shown.neurons.map((l, k) => [`${l.name}${l.kind ? ` (${l.kind})` : ""}: ${l.n_spikes.toLocaleString("en")} spikes`, colour(k)]);
    const number = shown.number === null ? "" : `sample ${shown.number}`;
    legend("raster-legend", [...(number ? [[number, ""]] : []), ...shown.inputs.map((l) => [`${l.name}: ${l.n_spikes.toLocaleString("en")} spikes`, ink().grey]), ...kinds]);
    const start = first();
    if (start) choose(start.name, start.unit);
    else {
      chosen = null;
      notes("raster-notes", shown.notes);
      draw("raster", build);
    }
    node.removeAllListeners?.("plotly_click");
    node.on("plotly_click", (event) => {
      const { data: trace, customdata } = event.points[0];
      if (trace.meta && !trace.meta.input) choose(shown.neurons[trace.meta.lane].name, customdata);
    });
  }

  return { show, chosen: () => chosen };
})();
