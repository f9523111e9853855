// The worklist: it refreshes itself without losing place or selection, says what has arrived, and takes keys.
// Everything essential works without it. htmx fetches and merges; what is here only says when, and listens.

(() => {
  "use strict";

  const SEEN = 20_000;
  const HIDDEN = 90_000;
  const RESPITE = 1_500;
  const KEYS_OFF = "worklist-keys-off";
  const title = document.title;
  const byId = (id) => document.getElementById(id);
  const list = () => byId("worklist");

  // Refreshing

  let timer = 0;
  let missed = 0;

  const wait = (time = document.hidden ? HIDDEN : SEEN) => {
    clearTimeout(timer);
    timer = setTimeout(refresh, time);
  };

  const refresh = () => {
    const isChoosing = document.querySelector("dialog[open]") !== null;
    if (!isChoosing && list()) htmx.trigger(list(), "refresh");
    wait();
  };

  document.addEventListener("htmx:config:request", ({ detail: { ctx } }) => {
    if (ctx.sourceElement === list()) ctx.request.headers["If-None-Match"] = list().dataset.etag;
  });

  document.addEventListener("htmx:after:request", ({ detail: { ctx } }) => {
    if (ctx.sourceElement.id !== "worklist") return;
    const { status } = ctx.response;
    byId("signed-out").hidden = status !== 401;
    byId("stale").hidden = status < 400 || status === 401;
  });

  document.addEventListener("htmx:error", () => {
    byId("stale").hidden = false;
  });

  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) {
      missed = 0;
      document.title = title;
    }
    wait(document.hidden ? HIDDEN : RESPITE);
  });

  // Saying what has arrived

  const announce = () => {
    const { textContent: words, dataset } = byId("news");
    if (!dataset.count) return;
    byId("urgent" in dataset ? "said-at-once" : "said").textContent = words;
    missed += Number(dataset.count);
    delete dataset.count;
    document.title = `(${missed}) ${title}`;
  };

  document.addEventListener("htmx:after:swap", announce);
  document.addEventListener("pointerdown", () => {
    missed = 0;
    document.title = title;
  });

  // Selecting

  document.addEventListener("change", ({ target }) => {
    if (target.id === "pick-all") {
      for (const box of document.querySelectorAll("input[name=task]")) box.checked = target.checked;
    }
  });

  // With the shift key, all from the one picked before up to this one become as this one is.
  let picked = null;

  document.addEventListener("click", ({ target, shiftKey }) => {
    if (target.name !== "task") return;
    const boxes = [...document.querySelectorAll("input[name=task]")];
    const ends = [boxes.indexOf(byId(picked)?.querySelector("input[name=task]")), boxes.indexOf(target)];
    if (shiftKey && ends[0] >= 0) {
      for (const box of boxes.slice(Math.min(...ends), Math.max(...ends) + 1)) box.checked = target.checked;
    }
    picked = target.closest("tr").id;
  });

  // Keys

  const rows = () => [...document.querySelectorAll("#worklist tbody tr")];
  const current = () => document.activeElement?.closest("#worklist tbody tr");

  const step = (by) => {
    const all = rows();
    const from = all.indexOf(current());
    const next = from < 0 ? all[by > 0 ? 0 : all.length - 1] : all[from + by];
    next?.querySelector("a.name").focus();
  };

  const pick = () => {
    const box = current()?.querySelector("input[name=task]");
    if (box) box.checked = !box.checked;
    return Boolean(box);
  };

  const plain = {
    j: () => step(1),
    k: () => step(-1),
    x: pick,
    "/": () => {
      byId("text").focus();
      byId("text").select();
    },
    "?": () => byId("keys").showModal(),
  };

  let goes = 0;

  const go = (key) => {
    const tab = document.querySelector(`#tabs a[data-key="${CSS.escape(key)}"]`);
    tab?.click();
    return tab !== null;
  };

  const isTyping = (target) => target.closest("input:not([type=checkbox]), select, textarea, [contenteditable], dialog");

  document.addEventListener("keydown", (event) => {
    const { key, target, ctrlKey, metaKey, altKey } = event;
    if (ctrlKey || metaKey || altKey || isTyping(target) || localStorage.getItem(KEYS_OFF)) return;
    const isGoing = event.timeStamp < goes;
    goes = !isGoing && key === "g" ? event.timeStamp + RESPITE : 0;
    const taken = goes > 0 || (isGoing ? go(key) : Object.hasOwn(plain, key) && plain[key]() !== false);
    if (taken) event.preventDefault();
  });

  const keysOn = byId("keys-on");
  keysOn.checked = !localStorage.getItem(KEYS_OFF);
  keysOn.addEventListener("change", () => {
    if (keysOn.checked) localStorage.removeItem(KEYS_OFF);
    else localStorage.setItem(KEYS_OFF, "1");
  });
  byId("keys-open").hidden = false;
  byId("keys-open").addEventListener("click", () => byId("keys").showModal());

  wait();
})();
