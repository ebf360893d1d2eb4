/* Improves pages that work without it: keys, lists, decision form. No key alone submits anything.
   Keys are declared on the control they drive (data-key, data-key-label); the help is made of them. */
(() => {
  "use strict";
  const root = document.documentElement;
  const all = (selector, from = document) => [...from.querySelectorAll(selector)];
  root.classList.add("js"); // before the first paint, so this file is not deferred

  // Keys.
  const isWriting = (target) =>
    target.closest?.("input:not([type=radio], [type=checkbox]), textarea, select, [contenteditable]");
  const lettersAreOn = root.dataset.shortcuts !== "off"; // a preference of the person

  function press(control) {
    if (control.matches("[data-key-list] *, [data-key-list]")) return;
    if (control.matches("input[type=radio]")) {
      if (control.disabled) return;
      control.checked = true;
      control.dispatchEvent(new Event("change", { bubbles: true }));
      const next = document.getElementById(control.dataset.keyThen || "");
      (next || control).focus();
    } else if (control.matches("input, select, textarea")) {
      control.focus();
    } else if (control.type !== "submit") {
      control.click();
    }
  }

  function step(list, by) {
    const items = all("[data-key-item]", list).filter((item) => item.checkVisibility());
    const at = items.indexOf(document.activeElement);
    const next = items[Math.min(Math.max(at + by, 0), items.length - 1)];
    next?.focus();
    next?.scrollIntoView({ block: "nearest" });
  }

  document.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      const form = event.target.closest?.("form[data-submit-key]");
      const button = form?.querySelector("button[type=submit]:not(:disabled)");
      if (button && form.reportValidity()) form.requestSubmit(button);
    }
  });

  if (lettersAreOn) document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (event.key.length !== 1 || isWriting(event.target) || document.querySelector("dialog[open]")) return;
    const key = CSS.escape(event.key);
    for (const list of all("[data-key-list]")) {
      const [next, previous] = list.dataset.keyList.split(" ");
      if (event.key === next || event.key === previous) {
        event.preventDefault();
        step(list, event.key === next ? 1 : -1);
        return;
      }
    }
    if (event.key === "o" && event.target.matches?.("a[data-key-item]")) { event.target.click(); return; }
    const control = document.querySelector(`[data-key="${key}"]`);
    if (control) { event.preventDefault(); press(control); }
  });

  function row(table, keys, label) {
    const line = table.insertRow();
    const cell = line.insertCell();
    keys.forEach((key, index) => {
      if (index) cell.append(" ");
      cell.append(Object.assign(document.createElement("kbd"), { textContent: key }));
    });
    line.insertCell().textContent = label;
  }

  function help() {
    document.getElementById("keys")?.remove();
    const dialog = Object.assign(document.createElement("dialog"), { id: "keys" });
    dialog.setAttribute("aria-labelledby", "keys-title");
    dialog.append(Object.assign(document.createElement("h2"), { id: "keys-title", textContent: "Keyboard shortcuts" }));
    const table = document.createElement("table");
    for (const list of lettersAreOn ? all("[data-key-list]") : []) row(table, list.dataset.keyList.split(" "), list.dataset.keyLabel);
    if (lettersAreOn && document.querySelector("a[data-key-item]")) row(table, ["Enter", "o"], "Open the item in focus");
    for (const control of lettersAreOn ? all("[data-key]") : []) row(table, [control.dataset.key], control.dataset.keyLabel);
    if (document.querySelector("form[data-submit-key]")) row(table, ["Ctrl + Enter"], "Submit, from inside the form");
    row(table, ["Esc"], "Close this");
    const link = Object.assign(document.createElement("a"), {
      href: document.querySelector("[data-preferences]")?.href,
      textContent: `Single keys are ${lettersAreOn ? "on; turn them off" : "off; turn them on"}`,
    });
    const close = Object.assign(document.createElement("button"), { type: "button", textContent: "Close" });
    close.addEventListener("click", () => dialog.close());
    const actions = Object.assign(document.createElement("div"), { className: "actions" });
    actions.append(close, link.href ? link : "");
    dialog.append(table, actions);
    dialog.addEventListener("close", () => dialog.remove());
    document.body.append(dialog);
    dialog.showModal();
  }

  // Decision form: the sentence and the fields follow the choice; a draft survives signing in again.
  const chosenIn = (form) => form.querySelector("input[name=decision]:checked, input[name=finding]:checked");
  const writtenIn = (form) => form.elements.reason || form.elements.evidence;
  const draftOf = (form) => `countersign.draft.${form.dataset.draft}`;

  function follow(form) {
    const chosen = chosenIn(form);
    for (const part of all("[data-only]", form)) {
      part.hidden = !chosen || !part.dataset.only.split(" ").includes(chosen.value);
    }
    const needed = chosen?.dataset.reason === "required";
    const written = writtenIn(form);
    if (written) written.required = needed;
    for (const part of all("[data-needed]", form)) part.required = chosen?.value === part.dataset.needed;
    const fact = form.elements.fact;
    if (fact) fact.required = chosen?.value === "approve";
    const output = form.querySelector("output");
    const sentence = chosen?.dataset.consequence || output?.dataset.empty;
    if (output && output.textContent !== sentence) output.textContent = sentence;
  }

  function busy(form, isBusy) {
    for (const button of all("button[type=submit]", form)) {
      button.disabled = isBusy;
      button.dataset.label ??= button.textContent;
      button.textContent = isBusy ? "Sending…" : button.dataset.label;
    }
  }

  function prepare(from) {
    for (const form of all("form[data-decision]", from)) {
      try {
        const draft = sessionStorage.getItem(draftOf(form));
        if (draft && form.elements.reason && !form.elements.reason.value) form.elements.reason.value = draft;
      } catch { /* private window */ }
      follow(form);
    }
    for (const guide of all(".guide", from)) {
      const edge = document.createElement("div");
      guide.before(edge);
      new IntersectionObserver(([seen]) => guide.classList.toggle("is-stuck", !seen.isIntersecting && seen.boundingClientRect.top < 0))
        .observe(edge);
    }
  }

  document.addEventListener("change", (event) => {
    const form = event.target.closest?.("form[data-decision]");
    if (form) follow(form);
  });
  document.addEventListener("input", (event) => {
    const form = event.target.closest?.("form[data-draft]");
    if (form && event.target.name === "reason") {
      try { sessionStorage.setItem(draftOf(form), event.target.value); } catch { /* private window */ }
    }
  });
  document.addEventListener("submit", (event) => {
    if (event.target.matches("[data-sign-out]")) { try { sessionStorage.clear(); } catch { /* private window */ } }
    if (event.target.matches("[data-once]")) setTimeout(() => busy(event.target, true));
  });
  window.addEventListener("pageshow", (event) => {
    if (event.persisted) for (const form of all("form[data-once]")) busy(form, false);
  });

  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-help-button]")) {
      help();
    } else if (event.target.closest("[data-fold-button]")) {
      const folds = all("main details");
      const open = folds.some((fold) => !fold.open);
      for (const fold of folds) fold.open = open;
    }
  });

  // Copying: the text can also be selected by hand, which is what remains where this is refused.
  const pick = (from) => {
    const range = document.createRange();
    range.selectNodeContents(from);
    getSelection().removeAllRanges();
    getSelection().addRange(range);
  };
  document.addEventListener("click", async (event) => {
    const button = event.target.closest?.("[data-copy]");
    const from = button && document.getElementById(button.dataset.copy);
    if (!from) return;
    pick(from);
    const label = button.copyLabel ??= [...button.childNodes];
    try {
      await navigator.clipboard.writeText(from.textContent);
      button.replaceChildren("Copied");
    } catch {
      button.replaceChildren("Selected: copy it by keyboard");
    }
    setTimeout(() => button.replaceChildren(...label), 3000);
  });

  // htmx: what the server refused or never heard is said aloud, and the form can be sent again.
  const say = (form, text) => {
    const place = form?.querySelector("[data-say]");
    if (place) place.textContent = text;
  };
  document.addEventListener("htmx:beforeRequest", (event) => say(event.target, ""));
  document.addEventListener("htmx:afterRequest", (event) => {
    if (event.target.matches?.("[data-once]")) {
      const leaves = event.detail.xhr?.getResponseHeader("HX-Redirect");
      const isSignIn = leaves && /\/sign-in(-again)?\/$/.test(new URL(leaves, location).pathname);
      if (leaves && !isSignIn) { try { sessionStorage.removeItem(draftOf(event.target)); } catch { /* private window */ } }
      setTimeout(() => { if (!leaves) busy(event.target, false); });
    }
  });
  document.addEventListener("htmx:sendError", (event) =>
    say(event.target, "The server could not be reached. Nothing was recorded; you can send it again."));
  document.addEventListener("htmx:responseError", (event) =>
    say(event.target, `The server refused this (${event.detail.xhr.status}). Nothing was recorded.`));
  document.addEventListener("htmx:afterSwap", (event) => {
    prepare(event.detail.target); // none when the browser goes back
    event.detail.target?.querySelector("[data-focus-after-swap]")?.focus();
  });

  // Lists: the address names the order that is shown, so that going back finds the same one.
  document.addEventListener("DOMContentLoaded", () => {
    prepare(document);
    const list = document.querySelector("[data-list-url]")?.dataset.listUrl;
    if (list && !location.search.includes("list=")) history.replaceState(history.state, "", list);
    const place = document.getElementById(location.hash.slice(1));
    if (place?.matches("a[data-key-item]")) place.focus();
  });
})();
