// What the console's pages do beyond what HTML does: fetch their changing part again when something has happened, show requests
// as they come, filter while one types, switch the theme. Every page can be read and used without it.

const SOON_MS = 350; // after an event: what it tells of is in the audit trail by then, and more events share one fetch
const SETTLED_MS = 1300; // a dock that was never here before, and when one was seen, are in the database after a second
const AGAIN_MS = 600; // at most one fetch in that time
const ROWS = 300;

const state = document.querySelector("[data-live-state]");

function tell(text) {
  if (state && state.textContent !== text) state.textContent = text;
}

function toLocal(root) {
  for (const time of root.querySelectorAll("time[datetime]")) {
    const at = new Date(time.getAttribute("datetime"));
    if (!Number.isNaN(at.valueOf())) {
      time.title = time.textContent;
      time.textContent = at.toLocaleString(undefined, { dateStyle: "short", timeStyle: "medium" });
    }
  }
}

function toLogin() {
  location.assign(`/login?next=${encodeURIComponent(location.pathname + location.search)}`);
}

class Live {
  constructor(element) {
    this.element = element;
    this.timer = null;
    this.second = null;
    this.fetchedAt = 0;
    this.isBusy = false;
    this.isWanted = false;
    for (const source of [element.dataset.on, element.dataset.also]) {
      if (source) listen(source, () => document.hidden || this.twice());
    }
    const every = Number(element.dataset.every);
    if (every) setInterval(() => document.hidden || this.soon(), every * 1000);
    document.addEventListener("visibilitychange", () => document.hidden || this.soon());
  }

  twice() {
    this.soon();
    clearTimeout(this.second);
    this.second = setTimeout(() => document.hidden || this.soon(), SETTLED_MS);
  }

  soon() {
    if (this.timer !== null) return;
    const wait = Math.max(SOON_MS, this.fetchedAt + AGAIN_MS - Date.now());
    this.timer = setTimeout(() => {
      this.timer = null;
      this.refresh();
    }, wait);
  }

  async refresh() {
    if (this.isBusy) {
      this.isWanted = true;
      return;
    }
    this.isBusy = true;
    this.fetchedAt = Date.now();
    try {
      const answer = await fetch(location.pathname + location.search, { headers: { "X-Fragment": "1" } });
      if (answer.status === 401) return toLogin();
      if (answer.ok) this.show(await answer.text());
      else tell(`not up to date: the gateway answers ${answer.status}`);
    } catch {
      tell("not up to date: the gateway does not answer");
    } finally {
      this.isBusy = false;
      if (this.isWanted) {
        this.isWanted = false;
        this.soon();
      }
    }
  }

  show(html) {
    const part = new DOMParser().parseFromString(html, "text/html");
    const open = new Set([...this.element.querySelectorAll("details[open]")].map((each) => each.dataset.key));
    for (const each of part.querySelectorAll("details")) each.open = open.has(each.dataset.key);
    toLocal(part);
    // who is using it with the keyboard, or has marked a text, must not lose his place
    const focused = this.element.contains(document.activeElement) ? placeOf(document.activeElement) : null;
    const selection = getSelection();
    if (selection && !selection.isCollapsed && this.element.contains(selection.anchorNode)) return;
    this.element.replaceChildren(...part.body.childNodes);
    if (focused) this.element.querySelector(focused)?.focus({ preventScroll: true });
    this.element.dataset.shown = String(Number(this.element.dataset.shown || 0) + 1);
  }
}

function placeOf(element) {
  if (element.tagName === "A") return `a[href="${CSS.escape(element.getAttribute("href"))}"]`;
  const key = element.closest("details")?.dataset.key;
  return element.tagName === "SUMMARY" && key ? `details[data-key="${CSS.escape(key)}"] > summary` : null;
}

function listen(source, happened) {
  const events = new EventSource(source);
  let wasLost = false;
  events.onopen = () => {
    tell("up to date");
    if (wasLost) happened();
    wasLost = false;
  };
  events.onmessage = (event) => happened(event.data);
  events.onerror = () => {
    wasLost = true;
    tell("not up to date: the connection to the gateway is lost");
    // closed for good: the login has ended, most likely
    if (events.readyState === EventSource.CLOSED) setTimeout(() => location.reload(), 3000);
  };
  return events;
}

function logRequests(body) {
  const filter = document.querySelector("[data-log-filter] input");
  const pause = document.querySelector("[data-log-pause]");
  const count = document.querySelector("[data-log-count]");
  let seen = 0;
  let isPaused = false;
  const fits = (row) => row.textContent.toLowerCase().includes(filter.value.trim().toLowerCase());
  filter.form.addEventListener("submit", (event) => event.preventDefault());
  filter.addEventListener("input", () => {
    for (const row of body.rows) row.hidden = !fits(row);
  });
  pause.addEventListener("click", () => {
    isPaused = !isPaused;
    pause.setAttribute("aria-pressed", String(isPaused));
    pause.textContent = isPaused ? "Go on" : "Pause";
  });
  listen(body.dataset.log, (data) => {
    if (data === undefined) return;
    seen += 1;
    count.textContent = `${seen} since this page was opened${isPaused ? "; paused" : ""}`;
    if (isPaused) return;
    const one = JSON.parse(data);
    const row = document.createElement("tr");
    const time = document.createElement("time");
    time.setAttribute("datetime", one.at);
    const link = document.createElement("a");
    link.href = `/docks/${encodeURIComponent(one.sn)}`;
    link.textContent = one.sn;
    const result = one.result === null ? "left to a platform" : String(one.result);
    for (const content of [time, link, one.method ?? "no method", result, one.ms.toFixed(1)]) {
      row.insertCell().append(content);
    }
    if (one.result) row.cells[3].className = "refused";
    row.cells[4].className = "number";
    toLocal(row);
    row.hidden = !fits(row);
    body.prepend(row);
    while (body.rows.length > ROWS) body.lastElementChild.remove();
  });
}

function filterWhileTyping(form, live) {
  let timer = null;
  const show = () => {
    const words = new URLSearchParams([...new FormData(form)].filter(([, value]) => value));
    history.replaceState(null, "", words.size ? `${location.pathname}?${words}` : location.pathname);
    live.refresh();
  };
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    show();
  });
  form.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(show, 250);
  });
}

const toggle = document.querySelector("[data-theme-toggle]");
if (toggle) {
  toggle.hidden = false;
  const isDark = () => {
    const chosen = document.documentElement.dataset.theme;
    return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  };
  const name = () => {
    toggle.textContent = isDark() ? "Light" : "Dark";
    toggle.setAttribute("aria-label", `Switch to the ${isDark() ? "light" : "dark"} theme`);
  };
  toggle.addEventListener("click", () => {
    const theme = isDark() ? "light" : "dark";
    document.documentElement.dataset.theme = theme;
    try {
      localStorage.setItem("dockgate-theme", theme);
    } catch {
      // for this page only, then
    }
    name();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", name);
  name();
}

toLocal(document);
const region = document.querySelector("[data-live]");
const live = region ? new Live(region) : null;
const form = document.querySelector("form[data-filter]");
if (form && live) filterWhileTyping(form, live);
const log = document.querySelector("[data-log]");
if (log) logRequests(log);
