"use strict";
// Tables: a click on a column's head sorts, a second one turns the order; CSV holds the numbers unrounded, in the order shown.
for (const figure of document.querySelectorAll("figure.table")) {
  const heads = [...figure.querySelectorAll("th")], body = figure.querySelector("tbody");
  const value = (row, k) => row.cells[k].dataset.value;

  function sort(k) {
    const head = heads[k], numeric = head.classList.contains("number");
    const before = head.getAttribute("aria-sort");
    const turn = before ? before === "ascending" : numeric; // numbers: the largest first
    heads.forEach((h) => h.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", turn ? "descending" : "ascending");
    const rows = [...body.rows];
    rows.sort((a, b) => {
      const x = value(a, k), y = value(b, k);
      if (x === "" || y === "") return (x === "") - (y === ""); // what has no value stays last
      const order = numeric ? Number(x) - Number(y) : x.localeCompare(y, "en", { numeric: true });
      return turn ? -order : order;
    });
    body.append(...rows);
  }

  heads.forEach((head, k) => {
    const button = neuro.el("button", { type: "button" });
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => sort(k));
  });

  // A spreadsheet would run a text that begins like a formula.
  function quoted(text, numeric) {
    const safe = !numeric && /^[=+\-@\t\r]/.test(text) ? "'" + text : text;
    return /[",\r\n]/.test(safe) ? '"' + safe.replace(/"/g, '""') + '"' : safe;
  }

  function csv() {
    const numeric = heads.map((h) => h.classList.contains("number"));
    const titles = heads.map((h) => quoted(h.dataset.title + (h.dataset.unit ? ` (${h.dataset.unit})` : ""), false));
    const rows = [...body.rows].map((row) =>
      heads.map((_, k) => quoted(value(row, k), numeric[k] && Number.isFinite(Number(value(row, k))))).join(","));
    return [titles.join(","), ...rows].join("\r\n") + "\r\n";
  }

  const button = figure.querySelector(".csv");
  button.hidden = false;
  button.addEventListener("click", () => {
    const url = URL.createObjectURL(new Blob([csv()], { type: "text/csv" }));
    const link = neuro.el("a", { href: url, download: button.dataset.name + ".csv" });
    document.body.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(url), 10000);
  });
}
