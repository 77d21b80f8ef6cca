// Measures the pages in the frames of a harness, once all of them have loaded, and leaves what it found as JSON.

const rgb = (css) => {
  const numbers = css.match(/[\d.]+(e-?\d+)?/g).map(Number);
  return css.startsWith("color(") ? numbers.slice(0, 3).map((n) => 255 * n).concat(numbers[3] ?? 1) : numbers.concat(1).slice(0, 4);
};
const luminance = ([r, g, b]) => {
  const [x, y, z] = [r, g, b].map((n) => (n /= 255) <= 0.04045 ? n / 12.92 : ((n + 0.055) / 1.055) ** 2.4);
  return 0.2126 * x + 0.7152 * y + 0.0722 * z;
};
const contrast = (one, other) => {
  const [high, low] = [luminance(one), luminance(other)].sort((a, b) => b - a);
  return (high + 0.05) / (low + 0.05);
};
const isSeen = (element) => {
  const box = element.getBoundingClientRect();
  return box.width > 0 && box.height > 0;
};
const words = (element) => element.textContent.replace(/\s+/g, " ").trim();

// The least contrast of any text with what is behind it, and where.
function leastContrast(frame, page) {
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = rgb(frame.getComputedStyle(at).backgroundColor);
      if (colour[3] > 0) return colour;
    }
    return [255, 255, 255, 1];
  };
  let least = { ratio: 21, where: "" };
  const texts = page.createTreeWalker(page.body, frame.NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement;
    if (!texts.currentNode.data.trim() || element.closest("style, svg style") || !isSeen(element)) continue;
    const style = frame.getComputedStyle(element);
    const ratio = contrast(rgb(element.closest("svg") ? style.fill : style.color), behind(element));
    if (ratio < least.ratio) least = { ratio, where: texts.currentNode.data.trim() };
  }
  return least;
}

// The least contrast of the colours of curves and bars with the page.
function leastSeriesContrast(frame, page) {
  const probe = page.body.appendChild(page.createElement("i"));
  const shown = (name) => {
    probe.style.color = `var(${name})`;
    return rgb(frame.getComputedStyle(probe).color);
  };
  const ratios = [1, 2, 3, 4, 5, 6].map((n) => contrast(shown(`--series-${n}`), shown("--page")));
  probe.remove();
  return Math.min(...ratios);
}

// A plot: what is drawn, and the table behind it, opened as the keyboard opens it.
function measuredFigure(page, figure) {
  const drawings = [...figure.querySelectorAll("[role=img]")].filter(isSeen);
  const [details, summary] = [figure.querySelector("details"), figure.querySelector("summary")];
  const wasOpen = details.open;
  summary.focus();
  const isFocused = page.activeElement === summary;
  summary.click();
  const rows = [...details.querySelectorAll("tbody tr")].filter(isSeen);
  return {
    section: words(figure.closest("section").querySelector("h2")),
    caption: words(figure.querySelector("figcaption")),
    labels: drawings.map((drawing) => drawing.getAttribute("aria-label")),
    n_marks: drawings.flatMap((drawing) => [...drawing.querySelectorAll("svg path, svg use")].filter(isSeen)).length,
    was_open: wasOpen,
    is_focused: isFocused,
    summary: words(summary),
    n_rows: rows.length,
    first_row: rows.length ? [...rows[0].cells].map(words) : [],
  };
}

function measured(frame) {
  const page = frame.document, root = page.documentElement;
  const found = {
    lang: root.lang,
    title: page.title,
    width: root.clientWidth,
    overflow: root.scrollWidth - root.clientWidth,
    background: frame.getComputedStyle(page.body).backgroundColor,
    least_contrast: leastContrast(frame, page),
    least_series_contrast: leastSeriesContrast(frame, page),
    headings: [...page.querySelectorAll("h1, h2, h3")].map((heading) => [Number(heading.tagName[1]), words(heading)]),
    headline: [...page.querySelectorAll(".headline tr:not(.group)")].map((row) => [...row.cells].slice(0, 2).map(words)),
    tables: [...page.querySelectorAll("table")].map((table) => [...table.rows].map((row) => [...row.cells].map(words))),
    unlabelled: [...page.querySelectorAll("svg, .bar")].filter((e) => !e.closest("[role=img][aria-label]")).length,
    unreachable: [...page.querySelectorAll(".scroll")].filter((e) => e.tabIndex !== 0 || !e.ariaLabel).length,
    cut: [...page.querySelectorAll("section .scroll")]
      .filter((e) => !e.closest("details") && e.scrollWidth > e.clientWidth + 1)
      .map((e) => e.ariaLabel),
    legend: [...page.querySelectorAll(".legend .tag")].filter(isSeen).map(words),
    tags: [...new Set([...page.querySelectorAll("section .tag")].map(words))],
    scripts: page.scripts.length,
    figures: [...page.querySelectorAll("figure")].map((figure) => measuredFigure(page, figure)),
  };
  found.overflow_opened = root.scrollWidth - root.clientWidth;
  return found;
}

addEventListener("load", () => {
  const found = {};
  for (const element of document.querySelectorAll("iframe[srcdoc]")) found[element.name] = measured(element.contentWindow);
  document.getElementById("found").textContent = JSON.stringify(found);
});
