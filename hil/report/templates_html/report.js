"use strict";
// The plots of a report and its panel of figures. Everything that comes from a run is placed as
// text: by textContent in the page, and escaped where plotly reads its own markup (`plain`).
(() => {
  // The palette of Okabe and Ito, made for every kind of color vision, and lighter ones for the dark.
  const LIGHT = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"];
  const DARK = ["#56b4e9", "#ff8f4d", "#3ecf9e", "#e6a3c8", "#f0c04a", "#b8a3ff"];
  const SYMBOLS = ["circle", "square", "triangle-up", "diamond", "triangle-down", "cross"];
  const GRAY = "#8a96a3";
  const BOXES = {
    "tensor": { box: "#0072b2", text: "#ffffff" },
    "scratch": { box: "#e69f00", text: "#1f2933" },
    "expanded weights": { box: "#cc79a7", text: "#1f2933" },
  };
  const NETWORK_NAMES = { int8: "int8 network", chosen: "chosen" };
  const TIP_COLUMNS = 44;
  const FONT = "system-ui, DejaVu Sans, sans-serif";

  const find = (id) => document.getElementById(id);
  let data = JSON.parse(find("data").textContent);
  const view = { x: "flash", y: "accuracy", pinned: null, walked: null };

  // ---- helpers

  const plain = (text) =>
    String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");

  const element = (tag, text = "", ...children) => {
    const made = document.createElement(tag);
    if (text) made.textContent = text;
    made.append(...children);
    return made;
  };

  // Text in lines that a tooltip has room for, as plotly's markup.
  const wrapped = (text) => {
    const lines = [""];
    for (const word of String(text).split(" ")) {
      const last = lines.length - 1;
      if (lines[last] && lines[last].length + word.length >= TIP_COLUMNS) lines.push(word);
      else lines[last] += (lines[last] ? " " : "") + word;
    }
    return lines.map(plain).join("<br>   ");
  };

  const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const darkness = matchMedia("(prefers-color-scheme: dark)");
  const palette = () => (darkness.matches ? DARK : LIGHT);
  const axisOf = (key) => data.axes.find((axis) => axis.key === key);
  const title = (axis) => plain(axis.title) + (axis.unit ? ` (${axis.unit.trim()})` : "");
  const trialOf = (number) => data.trials.find((trial) => trial.number === number);
  const isQuality = (key) => key === "accuracy" || key === "test";

  const options = (select, pairs, wanted) => {
    const before = wanted ?? select.value;
    select.replaceChildren(...pairs.map(([value, text]) => {
      const option = element("option", text);
      option.value = value;
      return option;
    }));
    if (pairs.some(([value]) => value === before)) select.value = before;
  };

  const layout = (more) => ({
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { color: color("--ink"), size: 12, family: FONT },
    margin: { l: 62, r: 14, t: 30, b: 48 },
    hoverlabel: {
      align: "left", bgcolor: color("--card"), bordercolor: color("--soft"),
      font: { color: color("--ink"), size: 12, family: FONT },
    },
    hovermode: "closest",
    modebar: {
      orientation: "v", bgcolor: "rgba(0,0,0,0)", color: color("--soft"), activecolor: color("--accent"),
    },
    legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0, font: { size: 11 } },
    ...more,
  });

  const scale = (more) => ({
    gridcolor: color("--grid"), zeroline: false, linecolor: color("--soft"), automargin: true, ...more,
  });

  const draw = (id, traces, more) => {
    const config = {
      responsive: true, displaylogo: false,
      displayModeBar: window.innerWidth > 600, // on a phone it would lie over the legend
      modeBarButtons: [["toImage", "zoom2d", "pan2d", "resetScale2d"]], // none that sends anything
    };
    Plotly.react(find(id), traces, layout(more), config);
  };

  // Orders of stages, the most frequent first, each with its look; the rare ones share one.
  const looks = () => {
    const colors = palette();
    const counts = new Map();
    for (const trial of data.trials) counts.set(trial.order, (counts.get(trial.order) ?? 0) + 1);
    const frequent = [...counts].sort((a, b) => b[1] - a[1]).map(([order]) => order);
    const groups = frequent.slice(0, colors.length).map((order, i) => (
      { name: order, color: colors[i], symbol: SYMBOLS[i], has: (trial) => trial.order === order }
    ));
    const rare = frequent.slice(colors.length);
    if (rare.length) {
      groups.push({
        name: "other orders", color: GRAY, symbol: "x", has: (trial) => rare.includes(trial.order),
      });
    }
    return groups;
  };

  const tip = (trial) => {
    const lines = [`<b>trial ${trial.number}</b>${trial.chosen ? ", chosen" : ""}${trial.int8 ? ", int8 network" : ""}`];
    trial.genome.forEach((stage, i) => lines.push(`${i + 1}. ${wrapped(stage)}`));
    if (trial.schedule.length) lines.push("<i>schedule</i>");
    for (const step of trial.schedule) lines.push(`   ${wrapped(step)}`);
    for (const [name, text] of Object.entries(trial.texts)) {
      if (text) lines.push(`${plain(name)}: <b>${plain(text)}</b>`);
    }
    return lines.join("<br>");
  };

  // ---- the fronts

  const placed = () => data.trials.filter((trial) =>
    trial.values[view.x] !== null && trial.values[view.y] !== null);

  // Where an axis of accuracy begins and ends, with room around the target and the int8 network.
  const qualityRange = (key, trials) => {
    const sign = axisOf(key).better === "lower" ? -1 : 1;
    const values = trials.map((trial) => sign * trial.values[key]);
    const int8 = trials.filter((trial) => trial.int8).map((trial) => sign * trial.values[key]);
    const marks = [sign * data.target, ...int8];
    const top = Math.max(...values, ...marks), least = Math.min(...marks);
    const room = Math.max(axisOf(key).unit.includes("%") ? 2 : 0.05 * Math.abs(top), top - least);
    const low = find("all-range").checked
      ? Math.min(...values, ...marks) : Math.max(Math.min(...values, ...marks), least - room);
    const margin = 0.06 * Math.max(top - low, 0.01 * Math.abs(top));
    return [sign * (low - margin), sign * (top + margin)];
  };

  const frontAxis = (key, trials) => {
    const axis = axisOf(key);
    const log = find("log-axis").checked && axis.better === "lower" && !isQuality(key);
    const range = isQuality(key) && trials.length ? { range: qualityRange(key, trials) } : {};
    return scale({ title: { text: title(axis) }, type: log ? "log" : "linear", ...range });
  };

  // The networks of which no other is better on both axes, from the cheapest on.
  const staircase = (trials) => {
    const ways = [view.x, view.y].map((key) => ({ lower: 1, higher: -1 })[axisOf(key).better]);
    if (view.x === view.y || ways.includes(undefined)) return [];
    const sorted = [...trials].sort((a, b) =>
      ways[0] * (a.values[view.x] - b.values[view.x]) || ways[1] * (a.values[view.y] - b.values[view.y]));
    let best = Infinity;
    return sorted.filter((trial) => {
      const value = ways[1] * trial.values[view.y];
      if (value >= best) return false;
      best = value;
      return true;
    });
  };

  const marked = (trials, name, marker) => ({
    x: trials.map((trial) => trial.values[view.x]),
    y: trials.map((trial) => trial.values[view.y]),
    mode: "markers", type: "scatter", name, marker, hoverinfo: "skip", showlegend: trials.length > 0,
  });

  const frontTraces = (trials) => {
    const steps = staircase(trials);
    const ink = color("--ink");
    const groups = looks().map((group) => {
      const own = trials.filter(group.has);
      return {
        x: own.map((trial) => trial.values[view.x]),
        y: own.map((trial) => trial.values[view.y]),
        customdata: own.map((trial) => trial.number),
        text: own.map(tip),
        type: "scatter", mode: "markers", name: plain(group.name), hoverinfo: "text",
        cliponaxis: true,
        marker: {
          color: group.color, symbol: group.symbol,
          size: own.map((trial) => (trial.front ? 12 : 8)),
          opacity: own.map((trial) => (trial.front ? 1 : 0.5)),
          line: { width: own.map((trial) => (trial.front ? 1 : 0)), color: color("--card") },
        },
      };
    });
    return [
      {
        x: steps.map((trial) => trial.values[view.x]), y: steps.map((trial) => trial.values[view.y]),
        type: "scatter", mode: "lines", line: { color: color("--soft"), width: 1.3, shape: "hv" },
        name: "best for these axes", hoverinfo: "skip", showlegend: steps.length > 1,
      },
      ...groups,
      marked(trials.filter((trial) => trial.int8), "int8 network",
        { symbol: "star-open", size: 17, color: ink, line: { width: 2 } }),
      marked(trials.filter((trial) => trial.chosen), "chosen",
        { symbol: "circle-open", size: 20, color: ink, line: { width: 2.4 } }),
      marked(trials.filter((trial) => trial.number === view.pinned), "in view",
        { symbol: "square-open", size: 23, color: color("--accent"), line: { width: 2.2 } }),
      marked(trials.filter((trial) => trial.number === view.walked), "cursor",
        { symbol: "diamond-open", size: 23, color: color("--target"), line: { width: 2.2 } }),
    ];
  };

  const targetLine = (key) => {
    const across = key === view.y;
    const along = across
      ? { xref: "paper", x0: 0, x1: 1, y0: data.target, y1: data.target }
      : { yref: "paper", y0: 0, y1: 1, x0: data.target, x1: data.target };
    return { type: "line", line: { color: color("--target"), width: 1.2, dash: "dash" }, ...along };
  };

  const drawFronts = () => {
    const trials = placed();
    const shapes = [...new Set([view.x, view.y])].filter(isQuality).map(targetLine);
    const xaxis = frontAxis(view.x, trials), yaxis = frontAxis(view.y, trials);
    draw("front-plot", frontTraces(trials), { xaxis, yaxis, shapes });
    const outside = trials.filter((trial) => [[view.x, xaxis], [view.y, yaxis]].some(([key, axis]) => {
      if (!axis.range) return false;
      const value = trial.values[key];
      return value < Math.min(...axis.range) || value > Math.max(...axis.range);
    }));
    const unplaced = data.trials.length - trials.length;
    find("outside").textContent = [
      "The dashed line is the target.",
      outside.length ? `${outside.length} networks lie outside of the range shown (“whole range” shows them).` : "",
      unplaced ? `${unplaced} networks have no value on one of these axes.` : "",
    ].filter(Boolean).join(" ");
  };

  const showPinned = () => {
    const trial = trialOf(view.pinned);
    const panel = find("pinned");
    if (!trial) {
      panel.replaceChildren(element("p", "Click a mark, or a number in a table, to see all its figures here."));
      return;
    }
    const what = [trial.chosen && "chosen", trial.int8 && "int8 network", trial.front && "on the front",
      trial.meets ? "meets the goal" : "does not meet the goal"].filter(Boolean).join(", ");
    const genome = element("ol", "", ...trial.genome.map((stage) => element("li", stage)));
    const schedule = element("ul", "", ...trial.schedule.map((step) => element("li", step)));
    const rows = trial.figures.map(([name, value, ratio]) => {
      const cells = [element("td", name), element("td", value), element("td", ratio)];
      cells[1].className = "n";
      cells[2].className = "n ratio";
      return element("tr", "", ...cells);
    });
    const close = element("button", "close");
    close.type = "button";
    close.addEventListener("click", () => pin(null));
    panel.replaceChildren(
      element("h3", `Trial ${trial.number} `, close), element("p", what),
      element("b", "genome"), genome,
      ...(trial.schedule.length ? [element("b", "schedule"), schedule] : []),
      element("table", "", element("tbody", "", ...rows)),
    );
  };

  const pin = (number) => {
    view.pinned = number;
    history.replaceState(null, "", number === null ? location.pathname : `#trial-${number}`);
    showPinned();
    drawFronts();
  };

  // ---- the keyboard walks through the networks of the fronts, from left to right

  const walk = (event) => {
    const trials = placed().sort((a, b) =>
      a.values[view.x] - b.values[view.x] || a.values[view.y] - b.values[view.y]);
    const at = trials.findIndex((trial) => trial.number === view.walked);
    const steps = {
      ArrowRight: at + 1, ArrowUp: at + 1, ArrowLeft: at - 1, ArrowDown: at - 1,
      Home: 0, End: trials.length - 1,
    };
    if (event.key in steps && trials.length) {
      event.preventDefault();
      walkTo(trials[Math.min(Math.max(steps[event.key], 0), trials.length - 1)]);
    } else if ((event.key === "Enter" || event.key === " ") && view.walked !== null) {
      event.preventDefault();
      pin(view.walked);
    } else if (event.key === "Escape") {
      view.walked = null;
      pin(null);
    }
  };

  const walkTo = (trial) => {
    view.walked = trial.number;
    drawFronts();
    const plot = find("front-plot");
    plot.data.forEach((trace, curveNumber) => {
      const pointNumber = (trace.customdata ?? []).indexOf(trial.number);
      if (pointNumber >= 0) Plotly.Fx.hover(plot, [{ curveNumber, pointNumber }]);
    });
    const figures = Object.entries(trial.texts).filter(([, text]) => text);
    find("said").textContent =
      `trial ${trial.number}, ${trial.genome.join(", ")}; ${figures.map((pair) => pair.join(" ")).join(", ")}`;
  };

  // ---- layers, memory, progress, genes, time

  const drawLayers = () => {
    const measure = find("layer-measure").value;
    const names = [...new Set(Object.values(data.layers).flatMap((layers) => layers.map((one) => one.name)))];
    const colors = { int8: GRAY, chosen: palette()[0] };
    const traces = Object.entries(data.layers).map(([key, layers]) => ({
      type: "bar", orientation: "h", name: NETWORK_NAMES[key], marker: { color: colors[key] },
      y: layers.map((one) => plain(one.name)), x: layers.map((one) => one[measure]),
      hovertext: layers.map((one) => `<b>${plain(one.name)}</b>, ${NETWORK_NAMES[key]}<br>` +
        `${plain(one.op)} by ${plain(one.kernel)}<br>${(one[measure] ?? 0).toLocaleString("en")}`),
      hoverinfo: "text",
    }));
    find("layer-plot").style.height = `${130 + 34 * names.length}px`;
    draw("layer-plot", traces, {
      barmode: "group", bargap: 0.3,
      yaxis: scale({ autorange: "reversed", categoryorder: "array", categoryarray: names.map(plain) }),
      xaxis: scale({ title: { text: find("layer-measure").selectedOptions[0].textContent } }),
    });
  };

  const drawMemory = () => {
    const network = data.networks[find("memory-network").value];
    if (!network) return;
    const kinds = [...new Set(network.buffers.map((one) => one.kind))];
    const traces = kinds.map((kind) => {
      const own = network.buffers.filter((one) => one.kind === kind);
      return {
        type: "bar", name: kind, marker: {
          color: BOXES[kind].box, opacity: 0.8, line: { color: color("--card"), width: 1.5 },
        },
        x: own.map((one) => (one.first + one.last) / 2), width: own.map((one) => one.last - one.first + 1),
        base: own.map((one) => one.offset_bytes), y: own.map((one) => one.size_bytes),
        text: own.map((one) => plain(one.name)), textposition: "inside", insidetextanchor: "middle",
        textangle: 0, textfont: { color: BOXES[kind].text, size: 11 }, hoverinfo: "text",
        hovertext: own.map((one) => `<b>${plain(one.name)}</b>, ${kind}<br>` +
          `${one.size_bytes.toLocaleString("en")} bytes from ${one.offset_bytes.toLocaleString("en")}<br>` +
          `during ${plain(network.layers[one.first])}` +
          (one.last > one.first ? ` to ${plain(network.layers[one.last])}` : "")),
      };
    });
    const count = network.layers.length;
    const every = Math.ceil(count / (innerWidth < 600 ? 8 : 30));
    const shown = [...network.layers.keys()].filter((i) => i % every === 0);
    draw("memory-plot", traces, {
      barmode: "overlay",
      uniformtext: { minsize: 9, mode: "hide" },
      xaxis: scale({
        tickvals: shown, ticktext: shown.map((i) => plain(network.layers[i])), range: [-0.55, count - 0.45],
        showgrid: false, tickangle: count > 6 ? -35 : 0,
      }),
      yaxis: scale({ title: { text: "byte of the arena" }, range: [0, network.arena * 1.07] }),
      shapes: [{
        type: "line", xref: "paper", x0: 0, x1: 1, y0: network.arena, y1: network.arena,
        line: { color: color("--target"), width: 1.2, dash: "dash" },
      }],
      annotations: [{
        xref: "paper", x: 1, xanchor: "right", y: network.arena, yanchor: "bottom", showarrow: false,
        text: `arena ${network.arena.toLocaleString("en")} bytes`,
        font: { color: color("--target"), size: 11 },
      }],
    });
  };

  const drawProgress = () => {
    const trials = data.trials.filter((trial) => trial.values.score !== null);
    let best = Infinity;
    const line = { x: [], y: [] };
    for (const trial of trials.filter((one) => one.meets)) {
      best = Math.min(best, trial.values.score);
      line.x.push(trial.number);
      line.y.push(best);
    }
    if (line.x.length) {
      line.x.push(data.last);
      line.y.push(best);
    }
    const groups = looks().map((group) => {
      const own = trials.filter(group.has);
      return {
        type: "scatter", mode: "markers", name: plain(group.name), hoverinfo: "text",
        x: own.map((trial) => trial.number), y: own.map((trial) => trial.values.score),
        customdata: own.map((trial) => trial.number), text: own.map(tip), showlegend: own.length > 0,
        marker: { color: group.color, symbol: group.symbol, size: 8, opacity: own.map((t) => (t.meets ? 1 : 0.4)) },
      };
    });
    draw("progress-plot", [
      ...groups,
      { ...line, type: "scatter", mode: "lines", name: "best so far", hoverinfo: "skip",
        line: { shape: "hv", color: color("--ink"), width: 1.6 } },
      { type: "scatter", mode: "markers", name: "not built or too large", hoverinfo: "skip", yaxis: "y2",
        x: data.failed, y: data.failed.map(() => 0), showlegend: data.failed.length > 0,
        marker: { symbol: "line-ns-open", size: 9, color: color("--soft") } },
    ], {
      xaxis: scale({ title: { text: "trial" } }),
      yaxis: scale({ title: { text: "score" } }),
      yaxis2: { overlaying: "y", range: [-0.02, 1], visible: false },
    });
  };

  const drawGenes = () => {
    const gene = find("gene").value, key = find("gene-axis").value;
    const trials = data.trials.filter((trial) => gene in trial.genes && trial.values[key] !== null);
    const kinds = [
      ["does not meet the goal", (trial) => !trial.meets, { color: GRAY, size: 8, opacity: 0.55 }],
      ["meets the goal", (trial) => trial.meets && !trial.front, { color: palette()[0], size: 9, opacity: 0.75 }],
      ["and is on the front", (trial) => trial.meets && trial.front,
        { color: palette()[1], size: 11, symbol: "diamond" }],
    ];
    const words = trials.some((trial) => typeof trial.genes[gene] === "string");
    draw("gene-plot", kinds.map(([name, has, marker]) => {
      const own = trials.filter(has);
      return {
        type: "scatter", mode: "markers", name, marker, hoverinfo: "text", showlegend: own.length > 0,
        x: own.map((trial) => (words ? plain(trial.genes[gene]) : trial.genes[gene])),
        y: own.map((trial) => trial.values[key]), text: own.map(tip),
        customdata: own.map((trial) => trial.number),
      };
    }), {
      xaxis: scale({ title: { text: plain(gene) }, type: words ? "category" : "linear" }),
      yaxis: scale({ title: { text: title(axisOf(key)) } }),
    });
  };

  const drawTime = () => {
    const steps = data.steps;
    find("time-plot").style.height = `${70 + 27 * steps.length}px`;
    draw("time-plot", [{
      type: "bar", orientation: "h", y: steps.map((step) => plain(step.name)),
      x: steps.map((step) => 100 * step.share), marker: { color: palette()[0] },
      text: steps.map((step) => plain(step.time)), textposition: "auto", cliponaxis: false,
      hovertext: steps.map((step) => `${plain(step.name)}: ${plain(step.time)}, ${(100 * step.share).toFixed(1)} %`),
      hoverinfo: "text",
    }], {
      yaxis: scale({ autorange: "reversed" }),
      xaxis: scale({ title: { text: "share of all time (%)" } }),
      margin: { l: 62, r: 40, t: 6, b: 44 },
    });
  };

  // ---- all of it

  const drawAll = () => {
    const axes = data.axes.map((axis) => [axis.key, axis.title]);
    for (const key of ["x", "y"]) {
      if (!axisOf(view[key]) && axes.length) view[key] = axes[0][0];
      options(find(`${key}-axis`), axes, view[key]);
    }
    // The gene with the most values is shown first: it says most.
    const values = (gene) => new Set(data.trials.map((trial) => trial.genes[gene])).size;
    const telling = [...data.genes].sort((a, b) => values(b) - values(a))[0];
    options(find("gene"), data.genes.map((gene) => [gene, gene]), find("gene").value || telling);
    const against = axes.filter(([key]) => key !== "number");
    const usual = find("gene-axis").value || (axisOf("score") ? "score" : "accuracy");
    options(find("gene-axis"), against, usual);
    const networks = Object.keys(data.networks);
    options(find("memory-network"), networks.map((key) => [key, `${NETWORK_NAMES[key]} (trial ${data.networks[key].number})`]),
      find("memory-network").value || networks[networks.length - 1]);
    const counted = Object.values(data.layers).some((layers) => layers.some((one) => one.count !== null));
    find("layer-measure").querySelector('[value="count"]').disabled = !counted;

    const has = data.trials.length > 0;
    const scored = data.trials.some((trial) => trial.values.score !== null);
    for (const [id, shown, drawIt] of [
      ["fronts", has, drawFronts],
      ["layer-bars", networks.length > 0, drawLayers],
      ["memory", networks.length > 0, drawMemory],
      ["progress", scored, drawProgress],
      ["genes", data.genes.length > 0, drawGenes],
      ["time", data.steps.length > 0, drawTime],
    ]) {
      find(id).hidden = !shown;
      if (shown) drawIt();
    }
    for (const id of ["front-plot", "progress-plot", "gene-plot"]) listen(find(id));
    showPinned();
  };

  const listen = (plot) => {
    if (!plot.on || plot.dataset.listens) return;
    plot.dataset.listens = "yes";
    plot.on("plotly_click", (event) => {
      const number = event.points[0].customdata;
      if (number !== undefined) pin(number);
    });
  };

  // ---- a live page asks its server for the next state, which answers when there is one

  const wait = (ms) => new Promise((done) => { setTimeout(done, ms); });

  const show = (state) => {
    data = state.data;
    const fresh = new DOMParser().parseFromString(state.html, "text/html");
    for (const part of fresh.querySelectorAll("[data-live]")) {
      const now = document.querySelector(`[data-live="${part.dataset.live}"]`);
      if (!now || now.innerHTML === part.innerHTML) continue;
      const open = [...now.querySelectorAll("details")].map((one) => one.open);
      [...part.querySelectorAll("details")].forEach((one, i) => { one.open = open[i] ?? false; });
      now.replaceChildren(...part.childNodes);
    }
    drawAll();
  };

  const follow = async () => {
    let version = 0;
    for (;;) {
      let lost = false;
      try {
        const answer = await fetch(`state?after=${version}`, { cache: "no-store" });
        if (!answer.ok) throw new Error(`answer ${answer.status}`);
        const state = await answer.json();
        if (state.version !== version) {
          version = state.version;
          show(state);
        }
      } catch {
        lost = true;
      }
      const pulse = find("pulse");
      pulse.classList.toggle("lost", lost);
      pulse.textContent = lost ? "the server has ended or does not answer" : "live";
      if (lost) await wait(3000);
    }
  };

  // ---- start

  for (const key of ["x", "y"]) {
    find(`${key}-axis`).addEventListener("change", (event) => {
      view[key] = event.target.value;
      drawFronts();
    });
  }
  for (const id of ["log-axis", "all-range"]) find(id).addEventListener("change", drawFronts);
  find("layer-measure").addEventListener("change", drawLayers);
  find("memory-network").addEventListener("change", drawMemory);
  for (const id of ["gene", "gene-axis"]) find(id).addEventListener("change", drawGenes);
  find("front-plot").addEventListener("keydown", walk);
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-pin]");
    if (!button) return;
    pin(Number(button.dataset.pin));
    find("fronts").scrollIntoView({ block: "nearest" });
  });
  for (const form of document.querySelectorAll("form")) {
    form.addEventListener("submit", (event) => event.preventDefault());
  }
  darkness.addEventListener("change", drawAll);

  const asked = /^#trial-(\d+)$/.exec(location.hash);
  view.pinned = asked ? Number(asked[1]) : data.trials.find((trial) => trial.chosen)?.number ?? null;
  drawAll();
  if (data.live) follow();
})();
