"use strict";

const byId = (id) => document.getElementById(id);
const FIELDS = ["format", "effort", "metadata"];
const AIMS = { quality: ["Quality", 80], target_score: ["Score", 75] };
const SETTLE_MILLISECONDS = 350; // after the last change of a setting

let picture = null; // the file that was chosen
let running = null; // the AbortController of the present request
let timer = 0;
let urls = []; // of the pictures that are shown

const bytes = (count) => {
  const units = ["B", "kB", "MB", "GB"];
  let value = count;
  let unit = 0;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${unit === 0 || value >= 99.95 ? value.toFixed(0) : value.toPrecision(3)} ${units[unit]}`;
};

const energy = (joules) => {
  const [size, unit] = [[3600, "Wh"], [1, "J"], [0.001, "mJ"]].find(([least]) => joules >= least) || [0.001, "mJ"];
  return `${Number((joules / size).toPrecision(2))} ${unit}`;
};

const aim = () => document.querySelector("input[name=aim]:checked").value;

const query = () => {
  const values = new URLSearchParams();
  for (const name of FIELDS) values.set(name, byId(name).value);
  if (aim() === "lossless") values.set("lossless", "yes");
  else values.set(aim(), byId("amount").value);
  if (byId("score").checked) values.set("score", "yes");
  if (values.get("format") === "auto") values.set("accept", "jpeg,png,webp,avif");
  return values;
};

const decodeReport = (field) => {
  const text = atob(field.replaceAll("-", "+").replaceAll("_", "/"));
  return JSON.parse(new TextDecoder().decode(Uint8Array.from(text, (letter) => letter.charCodeAt(0))));
};

const showProblem = (text) => {
  byId("problem").textContent = text;
  byId("problem").hidden = !text;
};

// The slider is as wide as the stage, and the picture may be narrower.
const split = () => {
  const share = byId("slider").value / 100;
  const stage = byId("stage").getBoundingClientRect();
  const shown = byId("before").getBoundingClientRect();
  const inside = (share * stage.width - (shown.left - stage.left)) / (shown.width || 1);
  byId("before").style.clipPath = `inset(0 ${100 - 100 * Math.min(1, Math.max(0, inside))}% 0 0)`;
  byId("divider").style.left = `${100 * share}%`;
};

const fit = (image) => new Promise((resolve) => {
  image.onload = () => resolve(true);
  image.onerror = () => resolve(false);
});

const show = async (before, after) => {
  for (const url of urls) URL.revokeObjectURL(url);
  urls = [URL.createObjectURL(before), URL.createObjectURL(after)];
  const shown = [fit(byId("before")), fit(byId("after"))];
  byId("before").src = urls[0];
  byId("after").src = urls[1];
  const [isBefore, isAfter] = await Promise.all(shown);
  byId("before").hidden = !isBefore;
  byId("after").hidden = !isAfter;
  byId("stage").hidden = !isBefore && !isAfter;
  const missing = [isBefore ? "" : "the picture before", isAfter ? "" : "the result"].filter(Boolean);
  byId("unshown").hidden = missing.length === 0;
  byId("unshown").textContent = `This browser can't show ${missing.join(" and ")}.`;
  split();
};

const describe = (report, result) => {
  const saved = 1 - result.size / picture.size;
  byId("bytes-in").textContent = bytes(picture.size);
  byId("source").textContent = `${report.source_format.toUpperCase()}, ${report.width} × ${report.height}`;
  byId("bytes-out").textContent = bytes(result.size);
  byId("format-out").textContent = report.format.toUpperCase();
  byId("saved").textContent = `${(100 * saved).toFixed(1)} %`;
  byId("outcome").textContent = report.reason || report.outcome;
  byId("score-out").textContent = report.score === null ? "–" : report.score.toFixed(1);
  const used = report.footprint && report.footprint.used_energy_joules;
  byId("energy").textContent = used ? energy(used.central) : "–";
  byId("energy-range").textContent = used ? `estimate, ${energy(used.low)} to ${energy(used.high)}` : "no estimate";
  byId("notices").replaceChildren(...report.notices.map((notice) => {
    const item = document.createElement("li");
    item.textContent = notice;
    return item;
  }));
  const stem = picture.name.replace(/\.[^.]*$/, "") || "picture";
  byId("download").download = `${stem}.compressed.${report.format === "jpeg" ? "jpg" : report.format}`;
};

const failure = async (response) => {
  if (response.status === 401) byId("access").hidden = false;
  const details = await response.json().catch(() => ({}));
  const wait = response.headers.get("Retry-After");
  return `${details.detail || response.statusText}${wait ? ` Try again in ${wait} s.` : ""}`;
};

// A TypeError of fetch, or of reading the body, is a lost connection.
const connected = (promise) => promise.catch((error) => {
  throw error instanceof TypeError ? new Error("The connection to the server was lost.") : error;
});

const compress = async () => {
  if (!picture) return;
  if (running) running.abort();
  const request = new AbortController();
  running = request;
  showProblem("");
  byId("result").classList.add("old");
  byId("status").textContent = `Compressing ${picture.name} …`;
  try {
    const token = byId("token").value.trim();
    const headers = token ? { Authorization: `Bearer ${token}` } : {};
    const options = { method: "POST", body: picture, headers, signal: request.signal, credentials: "omit" };
    const response = await connected(fetch(`v1/compress?${query()}`, options));
    if (!response.ok) throw new Error(await failure(response));
    const field = response.headers.get("Compressor-Report");
    if (!field) throw new Error("The response has no report. A proxy may have removed the field Compressor-Report.");
    const report = decodeReport(field);
    const result = await connected(response.blob());
    if (running !== request) return;
    describe(report, result);
    byId("drop").hidden = true;
    byId("compare").hidden = byId("result").hidden = false;
    await show(picture, result);
    byId("download").href = urls[1];
    byId("result").classList.remove("old");
  } catch (error) {
    if (error.name === "AbortError") return;
    showProblem(error.message);
  }
  if (running === request) {
    running = null;
    byId("status").textContent = "";
  }
};

const choose = (file) => {
  if (!file) return;
  picture = file;
  compress();
};

const restart = () => {
  if (running) running.abort();
  running = picture = null;
  byId("file").value = "";
  byId("drop").hidden = false;
  byId("compare").hidden = byId("result").hidden = true;
  byId("status").textContent = "";
  showProblem("");
};

const changed = (event) => {
  if (event.target.name === "aim") {
    const [name, value] = AIMS[aim()] || ["", 0];
    byId("amount-row").hidden = !name;
    byId("amount").setAttribute("aria-label", name);
    byId("amount").value = value;
  }
  byId("amount-out").textContent = byId("amount").value;
  clearTimeout(timer);
  timer = setTimeout(compress, SETTLE_MILLISECONDS);
};

byId("file").addEventListener("change", () => choose(byId("file").files[0]));
byId("slider").addEventListener("input", split);
window.addEventListener("resize", split);
byId("another").addEventListener("click", restart);
byId("settings").addEventListener("input", changed);
byId("settings").addEventListener("submit", (event) => event.preventDefault());
for (const kind of ["dragover", "dragleave", "drop"]) {
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    byId("drop").classList.toggle("over", kind === "dragover");
    if (kind === "drop") choose(event.dataTransfer.files[0]);
  });
}
