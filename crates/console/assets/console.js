// Live pages, keys, and copying. Everything works without it.
"use strict";
(() => {
  const main = document.getElementById("main");
  const sign = document.getElementById("live");
  const say = (state, text) => {
    if (!sign) return;
    if (sign.dataset.state === state && sign.textContent === text) return;
    sign.dataset.state = state;
    sign.textContent = text;
  };

  // A page that somebody types into, or has opened something on, stays as it is meanwhile.
  const isBusy = () => {
    const at = document.activeElement;
    const types = at && main.contains(at) && at.matches("input:not([type=checkbox]), textarea, select");
    const marks = String(window.getSelection() || "") !== "";
    return types || marks;
  };
  let waiting = null;
  const put = (html) => {
    if (isBusy()) { waiting = html; return; }
    waiting = null;
    const opened = [...main.querySelectorAll("details[open][id]")].map((one) => one.id);
    const row = chosen() ? chosen().dataset.row : null;
    const at = document.activeElement;
    const focus = at && main.contains(at) ? at.getAttribute("href") || at.id : null;
    main.innerHTML = html;
    for (const id of opened) { const one = document.getElementById(id); if (one) one.open = true; }
    if (row) { const one = [...rows()].find((each) => each.dataset.row === row); if (one) choose(one, false); }
    if (focus) {
      const same = [...main.querySelectorAll("a, button, [id]")].find((one) => one.getAttribute("href") === focus || one.id === focus);
      if (same) same.focus({ preventScroll: true });
    }
  };
  // A browser has few connections to one host: a page that nobody looks at gives its own back.
  let source = null;
  const listen = () => {
    if (!main || !("live" in main.dataset) || !window.EventSource || document.hidden || source) return;
    source = new EventSource(location.href);
    let last = Date.now();
    const own = source;
    own.onopen = () => { last = Date.now(); say("live", "live"); };
    own.addEventListener("main", (event) => { last = Date.now(); say("live", "live"); put(event.data); });
    own.addEventListener("trouble", (event) => say("stale", "stale: " + event.data));
    own.addEventListener("signed-out", () => { stop(); say("stale", "signed out"); location.reload(); });
    own.onerror = () => {
      const since = new Date(last).toISOString().slice(11, 19);
      say("stale", own.readyState === 2 ? "still, as of " + since : "stale since " + since);
    };
  };
  const stop = () => {
    if (!source) return;
    source.close();
    source = null;
    say("stale", "resting");
  };
  document.addEventListener("visibilitychange", () => { if (document.hidden) stop(); else listen(); });
  document.addEventListener("focusout", () => setTimeout(() => { if (waiting !== null) put(waiting); }, 50));
  window.addEventListener("pagehide", stop);
  window.addEventListener("pageshow", listen);

  // Rows of tables are walked with j and k.
  const rows = () => main.querySelectorAll("tbody tr");
  const chosen = () => main.querySelector("tbody tr.chosen");
  const choose = (row, scrolls = true) => {
    const before = chosen();
    if (before) { before.classList.remove("chosen"); before.removeAttribute("aria-selected"); }
    if (!row) return;
    row.classList.add("chosen");
    if (scrolls) row.scrollIntoView({ block: "nearest" });
  };
  const step = (by) => {
    const all = [...rows()];
    const at = all.indexOf(chosen());
    choose(all[Math.max(0, Math.min(all.length - 1, at < 0 ? 0 : at + by))]);
  };
  let prefix = false;
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const at = event.target;
    if (at.matches("input, textarea, select")) { if (event.key === "Escape") at.blur(); return; }
    if (prefix) {
      prefix = false;
      const link = document.querySelector('nav.main a[data-key="' + CSS.escape(event.key) + '"]');
      if (link) { event.preventDefault(); link.click(); }
      return;
    }
    const search = document.querySelector("main input[name=filter]") || document.getElementById("search");
    switch (event.key) {
      case "/": event.preventDefault(); search.focus(); search.select(); break;
      case "g": prefix = true; setTimeout(() => { prefix = false; }, 1500); break;
      case "j": step(1); break;
      case "k": step(-1); break;
      case "Enter": {
        if (at.matches("a, button, summary")) break;
        const link = chosen() && chosen().querySelector("a");
        if (link) link.click();
        break;
      }
      case "?": location.href = "/help"; break;
      case "Escape": for (const menu of document.querySelectorAll("details.menu[open]")) menu.open = false; break;
    }
  });

  // What stands in a command line is copied by a button that is there only with this script.
  const offer = () => {
    if (!navigator.clipboard) return;
    for (const line of document.querySelectorAll(".copy:not([data-offered])")) {
      line.dataset.offered = "";
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = "Copy";
      button.addEventListener("click", async () => {
        await navigator.clipboard.writeText(line.querySelector("code").textContent);
        button.textContent = "Copied";
      });
      line.append(button);
    }
  };
  offer();
  if (main) new MutationObserver(offer).observe(main, { childList: true });
})();
