/* Live counts: asks one small address now and then, and changes numbers and one line of news.
   Never a list, never a form's content, never the focus. */
(() => {
  "use strict";
  const MOST_FAILURES = 3, SLOWEST_SECONDS = 60, QUIET_MS = 30_000;
  const $ = (selector) => document.querySelector(selector);
  let source = null, etag = "", last = null, since = "", failures = 0, timer = 0, later = 0, saidAt = -Infinity;

  // One message in half a minute at most; what comes sooner waits, and the latest is said.
  function say(words, isLink) {
    const region = $("[data-news]");
    clearTimeout(later);
    if (!region || region.firstElementChild.textContent === words) return;
    const wait = words ? saidAt + QUIET_MS - performance.now() : 0;
    if (wait > 0) { later = setTimeout(say, wait, words, isLink); return; }
    if (words) saidAt = performance.now();
    const link = region.querySelector("a");
    region.firstElementChild.textContent = words;
    region.classList.toggle("is-said", Boolean(words));
    if (source?.dataset.freshUrl) link.href = source.dataset.freshUrl;
    if (link !== document.activeElement) link.hidden = !isLink;
  }

  // A claim ends ten minutes after its page was last used; two before that, the page says so.
  let claim = null, isUsed = false, claimTimer = 0;
  const claimNews = (name) => { const place = $("[data-claim-news]"); if (place) place.textContent = place.dataset[name] || ""; };
  function claimLasts(seconds) {
    clearTimeout(claimTimer);
    claimNews("");
    claimTimer = setTimeout(() => {
      claimNews("soon");
      claimTimer = setTimeout(claimNews, Math.min(seconds, 120) * 1000, "over");
    }, Math.max(seconds - 120, 0) * 1000);
  }
  function watchClaim() {
    const found = $("[data-claim-seconds]");
    if (found === claim) return;
    claim = found;
    clearTimeout(claimTimer);
    if (claim) claimLasts(Number(claim.dataset.claimSeconds));
  }
  for (const kind of ["keydown", "pointerdown", "input", "scroll"]) {
    document.addEventListener(kind, () => { isUsed = true; }, { capture: true, passive: true });
  }

  // A decision on something else than is true now would be refused; say so before it is sent.
  function hold(words) {
    for (const form of document.querySelectorAll("form[data-decision]")) {
      form.dataset.stale = words;
      const reason = form.querySelector("[data-stale-reason]"), button = form.querySelector(".submit");
      button.setAttribute("aria-disabled", "true");
      button.setAttribute("aria-describedby", reason.id);
      reason.textContent = `Not to be sent: ${words} Open the page anew first.`;
      reason.hidden = false;
    }
  }

  function show(facts) {
    last = facts;
    for (const [name, number] of Object.entries(facts.counts)) {
      for (const place of document.querySelectorAll(`[data-count="${name}"]`)) {
        if (place.textContent !== number) place.textContent = number;
      }
    }
    const claimed = $("[data-claimed]");
    if (claimed && claimed.textContent !== facts.claimed) claimed.textContent = facts.claimed;
    if (facts.stale) hold(facts.news);
    say(facts.news && !facts.stale ? `${facts.news}.` : facts.news, Boolean(facts.news));
  }

  async function ask() {
    clearTimeout(timer);
    const asked = $("[data-pulse]");
    if (!asked || document.hidden) return;
    if (asked !== source) { source = asked; etag = ""; since = asked.dataset.pulseTime; }
    const wasUsed = isUsed;
    isUsed = false;
    try {
      const headers = etag ? { "If-None-Match": etag } : {};
      if (claim && wasUsed) headers["X-Active"] = "1";
      const answer = await fetch(asked.dataset.pulse, {
        headers, cache: "no-store", redirect: "error", signal: AbortSignal.timeout(10_000),
      });
      if (!answer.ok && answer.status !== 304) throw new Error(answer.status);
      const facts = answer.status === 304 ? last : await answer.json();
      const goesOn = answer.headers.get("X-Claim-Seconds");
      if (goesOn) claimLasts(Number(goesOn));
      if (asked === $("[data-pulse]")) {
        etag = answer.headers.get("ETag");
        since = answer.headers.get("X-Local-Time") || since;
        if (facts) show(facts);
      }
      failures = 0;
    } catch {
      isUsed ||= wasUsed;  // unanswered, so nobody may know yet
      failures += 1;
      if (failures >= MOST_FAILURES) say(`Not live since ${since}.`, true);
    }
    plan();
  }

  function plan() {
    clearTimeout(timer);
    const asked = $("[data-pulse]");
    if (!asked || document.hidden) return;
    const seconds = Math.min(Number(asked.dataset.pulseSeconds) * 2 ** failures, SLOWEST_SECONDS);
    timer = setTimeout(ask, seconds * 1000 * (0.8 + Math.random() * 0.4));
  }

  document.addEventListener("visibilitychange", () => (document.hidden ? clearTimeout(timer) : ask()));
  document.addEventListener("submit", (event) => {
    if (!event.target.dataset.stale) return;
    event.preventDefault();
    event.stopImmediatePropagation();
  }, true);
  document.addEventListener("htmx:afterSwap", () => {
    watchClaim();
    const isOther = $("[data-pulse]") !== source;
    if (isOther) { last = null; say("", false); plan(); } else if (last?.stale) hold(last.news);
  });
  watchClaim();
  plan();
})();
