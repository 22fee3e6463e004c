"use strict";
// What pages do besides being read: the chart, copying, counting down. All of them say the
// same without it.

(() => {
  let chart = null;

  const draw = () => {
    const at = document.querySelector(".chart[data-series]");
    if (!at || typeof uPlot === "undefined") return;
    const series = JSON.parse(at.dataset.series);
    const color = (name) => { at.style.color = `var(${name})`; return getComputedStyle(at).color; };
    const axis = { stroke: color("--soft"), grid: { stroke: color("--line"), width: 1 }, ticks: { stroke: color("--line"), width: 1 } };
    const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit", timeZone: "Asia/Shanghai" });
    const times = { ...axis, values: (_, ticks, axisIndex, space, step) => ticks.map((seconds) => clock.format(new Date(seconds * 1000)).slice(0, step < 60 ? 8 : 5)) };
    if (chart) chart.destroy();
    at.replaceChildren();
    chart = new uPlot({
      width: at.clientWidth, height: 180, legend: { live: false },
      tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "Asia/Shanghai"),
      scales: { x: { time: true }, y: { range: (_, min, max) => [0, Math.max(1, max)] } },
      axes: [times, axis],
      series: [{}, { label: at.dataset.accepted, stroke: color("--good"), width: 2 }, { label: at.dataset.refused, stroke: color("--bad"), width: 2 }],
    }, [series.t, series.a, series.r], at);
  };

  const pad = (n) => String(n).padStart(2, "0");
  const countDown = () => {
    for (const at of document.querySelectorAll(".countdown[data-due]")) {
      const left = Math.max(0, Math.floor((new Date(at.dataset.due) - Date.now()) / 1000));
      let text = at.querySelector(".left");
      if (!text) {
        text = document.createElement("b");
        text.className = "left";
        at.replaceChildren(at.querySelector("time"), " ", text);
      }
      text.textContent = `${pad(Math.floor(left / 3600))}:${pad(Math.floor(left / 60) % 60)}:${pad(left % 60)}`;
      at.classList.toggle("near", left < 20 * 60);
    }
  };

  document.addEventListener("click", (event) => {
    const button = event.target.closest("button.copy");
    if (!button) return;
    const source = document.getElementById(button.dataset.copy);
    const text = source.textContent;
    getSelection().selectAllChildren(source); // for who copies by hand: not every page may write to the clipboard
    const done = () => { button.classList.add("done"); setTimeout(() => button.classList.remove("done"), 1500); };
    if (navigator.clipboard) navigator.clipboard.writeText(text).then(done, () => {});
  });

  // Nobody looks: nothing is asked.
  document.addEventListener("htmx:beforeRequest", (event) => {
    if (document.hidden && event.detail.elt.matches("#live, #poller")) event.preventDefault();
  });
  document.addEventListener("htmx:afterSettle", () => { draw(); countDown(); });
  // The list of events that grows while it is looked at begins again when it is long: its
  // link to older ones goes on behind the first page.
  document.addEventListener("htmx:afterSwap", () => {
    const rows = document.getElementById("rows");
    if (rows && rows.rows.length > 500) location.reload();
  });
  window.addEventListener("resize", draw);
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  draw();
  countDown();
  setInterval(countDown, 1000);
})();
