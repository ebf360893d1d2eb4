/* Offers what the ledger knows while a filter is typed. The inputs work without it. */
(() => {
  "use strict";
  const PAUSE = 200;
  document.querySelectorAll("input[data-suggest]").forEach((input) => {
    const list = document.createElement("datalist");
    list.id = `${input.id}-found`;
    input.after(list);
    input.setAttribute("list", list.id);
    input.autocomplete = "off";
    let timer, asked = 0;

    async function ask() {
      const number = ++asked;
      const address = new URL(input.dataset.suggest, location.href);
      address.searchParams.set("term", input.value);
      const answer = await fetch(address, { headers: { Accept: "application/json" } });
      if (!answer.ok || number !== asked) return; // an older answer than what is typed by now
      const { found } = await answer.json();
      list.replaceChildren(...found.map(({ value, label }) => {
        const option = document.createElement("option");
        option.value = value;
        if (label) option.label = `${value}: ${label}`;
        return option;
      }));
    }

    const soon = (event) => {
      if (event.inputType === "insertReplacementText") return; // one of the list was chosen
      clearTimeout(timer);
      timer = setTimeout(() => ask().catch(() => {}), PAUSE);
    };
    input.addEventListener("input", soon);
    input.addEventListener("focus", soon, { once: true });
  });
})();
