// The page of one run, live: counts move with the stream of events, and what only the server can write (stages, words,
// the report) is fetched anew when a stage ends. Without this script the page is complete as of its loading.
"use strict";

const live = () => document.getElementById("live");
const run = live().dataset.run;
const charts = new Map();
let redraw = 0;
let reread = 0;

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function options(chart, width) {
  const axis = { stroke: colour("--text"), grid: { stroke: colour("--raised") }, ticks: { stroke: colour("--line") } };
  const strokes = ["--accent", "--bad", "--good", "--quiet", "--line"].map(colour);
  const lines = chart.series.map((line, place) => ({
    label: line.label, stroke: strokes[place % strokes.length], width: 2, spanGaps: true,
    dash: place >= strokes.length ? [6, 4] : undefined, points: { show: chart.steps.length < 3 },
  }));
  return {
    width, height: 200, scales: { x: { time: false } }, axes: [axis, { ...axis, size: 64 }],
    series: [{ label: "step" }, ...lines],
  };
}

function draw(chart) {
  const data = [chart.steps, ...chart.series.map((line) => line.values)];
  const shape = JSON.stringify(chart.series.map((line) => line.label));
  const known = charts.get(chart.name);
  if (known && known.shape === shape) {
    known.plot.setData(data);
    return;
  }
  if (known) known.box.remove();
  const box = document.createElement("div");
  const title = document.createElement("h3");
  title.textContent = chart.name;
  box.append(title);
  document.getElementById("charts").append(box);
  const plot = new uPlot(options(chart, box.clientWidth), data, box);
  charts.set(chart.name, { plot, box, shape });
}

async function drawAll() {
  const answer = await fetch(`/ui/runs/${run}/curves`);
  if (!answer.ok) return;
  const found = await answer.json();
  document.getElementById("curves").hidden = found.length === 0;
  found.forEach(draw);
}

function drawSoon() {
  clearTimeout(redraw);
  redraw = setTimeout(drawAll, 300);
}

function drawAnew() {
  charts.forEach((known) => known.box.remove());
  charts.clear();
  drawAll();
}

function count(event) {
  const row = document.querySelector(`tr[data-stage="${event.stage}"]`);
  const bar = row && row.querySelector("progress");
  if (!bar || !event.total) return;
  bar.max = event.total;
  bar.value = event.done;
  row.querySelector(".count").textContent = `${event.done.toLocaleString("en")} of ${event.total.toLocaleString("en")}`;
  row.querySelector(".left").textContent = event.eta_s === null ? "" : `about ${span(event.eta_s)} left`;
}

function span(seconds) {
  if (seconds < 60) return `${Math.round(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

function say(event) {
  const status = event.data.status || "";
  const what = event.stage ? `Stage ${event.stage}: ${status || event.data.message}` : `The run: ${status}`;
  document.getElementById("said").textContent = what;
}

// Parts of the page as the server writes them now; whoever has the focus on one of their elements keeps it.
async function readAgain() {
  const answer = await fetch(location.href);
  if (!answer.ok) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const focused = document.activeElement && document.activeElement.id;
  for (const id of ["live", "effect", "curve-table", "report", "events"]) {
    document.getElementById(id).replaceWith(document.adoptNode(page.getElementById(id)));
  }
  if (focused && document.getElementById(focused)) document.getElementById(focused).focus();
}

function readSoon() {
  clearTimeout(reread);
  reread = setTimeout(readAgain, 300);
}

function follow() {
  const stream = new EventSource(`/ui/runs/${run}/events?after=${live().dataset.after}`);
  const told = (message) => {
    const event = JSON.parse(message.data);
    say(event);
    readSoon();
    if (!event.stage && ["succeeded", "failed", "cancelled"].includes(event.data.status)) stream.close();
  };
  stream.addEventListener("progress", (message) => count(JSON.parse(message.data)));
  stream.addEventListener("metric", drawSoon);
  stream.addEventListener("stage", told);
  stream.addEventListener("warning", told);
  // The stream's own failures come under this name too, without data: the browser connects again by itself.
  stream.addEventListener("error", (message) => message.data && told(message));
  addEventListener("pagehide", () => stream.close());
}

drawAll();
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAnew);
if (live().dataset.finished === "no") follow();
