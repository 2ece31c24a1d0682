"use strict";
// Makes the page handier and shows nothing that it does not show without: filter, order, tooltips, copies, downloads.
// Text goes in and out as text (textContent, dataset), never as markup; nothing is fetched and nothing evaluated.
(() => {
  const all = (query, within = document) => [...within.querySelectorAll(query)];
  const make = (tag, text, kind) => {
    const made = document.createElement(tag);
    made.textContent = text;
    if (kind) made.className = kind;
    return made;
  };
  for (const e of all("[data-script]")) e.hidden = false;

  // A link into something that is folded opens it.
  const reveal = () => {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    for (let e = target; e; e = e.parentElement) if (e.tagName === "DETAILS") e.open = true;
    if (target) target.scrollIntoView();
  };
  addEventListener("hashchange", reveal);
  if (location.hash) reveal();
  for (const link of all('a[href^="#"]')) {
    link.addEventListener("click", () => link.hash === location.hash && reveal());
  }
  for (const button of all("button[data-fold]")) {
    button.addEventListener("click", () => {
      for (const e of all("details.task")) e.open = button.dataset.fold === "open";
    });
  }

  // Tasks by part of their name, kind and verdict.
  const matrix = document.getElementById("matrix");
  if (matrix) {
    const [name, kind, word] = ["name", "kind", "word"].map((what) => document.getElementById("filter-" + what));
    const filter = () => {
      const part = name.value.trim().toLowerCase();
      const keep = (e) => e.dataset.name.toLowerCase().includes(part) &&
        (!kind.value || e.dataset.kind === kind.value) && (!word.value || e.dataset.word === word.value);
      const rows = all("tbody tr", matrix);
      for (const e of [...rows, ...all("details.task")]) e.hidden = !keep(e);
      const left = rows.filter((e) => !e.hidden).length;
      document.getElementById("filter-count").textContent = left + " of " + rows.length + " tasks";
    };
    for (const e of [name, kind, word]) e.addEventListener("input", filter);
    name.form.addEventListener("submit", (event) => event.preventDefault());
    filter();

    // A click on the head of a column orders the rows by it, a second click the other way round.
    const heads = all("thead th", matrix);
    heads.forEach((head, at) => {
      const button = make("button", "", "order");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const down = head.getAttribute("aria-sort") !== "descending" && at > 1 ||
          head.getAttribute("aria-sort") === "ascending";
        const value = (row) => {
          const text = fields(row.cells[at]).text;
          return at > 1 ? (text === "–" ? -Infinity : parseFloat(text)) : text;
        };
        const compare = (a, b) => typeof a === "number" ? a - b || 0 : a.localeCompare(b, "en", { numeric: true });
        const body = matrix.tBodies[0];
        const rows = [...body.rows].map((row, i) => ({ row, i, key: value(row) }));
        rows.sort((a, b) => (down ? -1 : 1) * compare(a.key, b.key) || a.i - b.i);
        body.append(...rows.map((e) => e.row));
        for (const other of heads) other.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
      });
    });
  }

  // A cell as text, its note (interval), and its mark in words.
  function fields(cell) {
    const copy = cell.cloneNode(true);
    const clean = (text) => text.replace(/\s+/g, " ").trim().replaceAll("−", "-");
    const take = (query) => all(query, copy).map((e) => {
      e.remove();
      return clean(e.getAttribute("aria-label") || e.textContent);
    }).join("; ");
    const mark = take(".mark");
    const note = take("small");
    return { text: clean(copy.textContent), note, mark };
  }

  // Every table as a TSV, with notes and marks in columns of their own; made here, asked of nobody.
  const tsv = (table) => {
    const rows = all("tr", table).filter((row) => !row.hidden).map((row) => [...row.cells].map(fields));
    const width = Math.max(...rows.map((row) => row.length));
    const has = (i, what) => rows.slice(1).some((row) => row[i] && row[i][what]);
    return rows.map((row, r) => Array.from({ length: width }, (_, i) => {
      const cell = row[i] || { text: "", note: "", mark: "" };
      const title = r ? "" : [cell.text, cell.note].filter(Boolean).join(" ");
      const out = [r ? cell.text : title];
      if (has(i, "note")) out.push(r ? cell.note : title + " (note)");
      if (has(i, "mark")) out.push(r ? cell.mark : title + " (mark)");
      return out;
    }).flat().join("\t")).join("\n") + "\n";
  };
  all("main table").forEach((table, i) => {
    const button = make("button", "TSV", "get");
    button.type = "button";
    button.title = "Save this table as tab-separated values";
    button.addEventListener("click", () => {
      const link = document.createElement("a");
      link.href = URL.createObjectURL(new Blob([tsv(table)], { type: "text/tab-separated-values" }));
      link.download = (table.dataset.file || "table-" + (i + 1)) + ".tsv";
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    });
    table.parentElement.after(button);
  });

  // Copy the paragraph; where the clipboard is out of bounds, select it.
  for (const button of all("button[data-copy]")) {
    button.addEventListener("click", async () => {
      const source = document.getElementById(button.dataset.copy);
      try {
        await navigator.clipboard.writeText(source.innerText);
        button.textContent = "Copied";
      } catch {
        getSelection().selectAllChildren(source);
        button.textContent = document.execCommand("copy") ? "Copied" : "Selected: press Ctrl+C";
      }
    });
  }

  // What a point is, beside the pointer; with the keyboard, arrows walk from point to point.
  const tip = make("div", "", "tip");
  tip.setAttribute("role", "status");
  tip.hidden = true;
  document.body.append(tip);
  let held = null;
  const release = () => {
    if (held) held.point.append(held.title);
    held = null;
    tip.hidden = true;
  };
  const show = (point, x, y) => {
    release();
    const title = point.querySelector("title");
    if (!title) return;
    tip.textContent = title.textContent;
    title.remove(); // or the browser would show it a second time
    held = { point, title };
    tip.hidden = false;
    const box = tip.getBoundingClientRect();
    tip.style.left = Math.max(4, Math.min(x + 12, innerWidth - box.width - 8)) + "px";
    tip.style.top = (y + 18 + box.height > innerHeight ? y - box.height - 12 : y + 18) + "px";
  };
  document.addEventListener("pointerover", (event) => {
    const point = event.target.closest?.("svg.told path, svg.told circle");
    if (point) show(point, event.clientX, event.clientY);
    else release();
  });
  const points = new WeakMap();
  for (const svg of all("svg.told")) {
    svg.setAttribute("tabindex", "0");
    svg.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      if (event.key === "Escape") release();
      if (!step) return;
      event.preventDefault();
      release();
      if (!points.has(svg)) points.set(svg, { at: -1, list: all("title", svg).map((e) => e.parentNode) });
      const walk = points.get(svg);
      if (!walk.list.length) return;
      walk.at = (walk.at + step + walk.list.length) % walk.list.length;
      const box = walk.list[walk.at].getBoundingClientRect();
      show(walk.list[walk.at], box.right, box.bottom);
    });
    svg.addEventListener("blur", release);
  }
})();
