/* Returns a list of faults of the open page: landmarks, names, labels, headings, contrast, targets, language. */
() => {
  const faults = [];
  const shown = (element) => {
    const box = element.getBoundingClientRect();
    const style = getComputedStyle(element);
    if (box.width <= 1 || box.height <= 1 || style.visibility === "hidden" || style.clipPath !== "none") return false;
    if (box.bottom < 0 || box.right <= 0 || box.left >= innerWidth) return false;
    return element.checkVisibility({ opacityProperty: true, visibilityProperty: true });
  };
  const where = (element) => {
    const id = element.id ? "#" + element.id : "";
    return element.tagName.toLowerCase() + id + " '" + (element.innerText || element.name || element.className || "").toString().trim().slice(0, 40) + "'";
  };
  const name = (element) => {
    const by = (element.getAttribute("aria-labelledby") || "").split(" ").map((id) => document.getElementById(id)?.innerText || "").join(" ");
    const images = [...element.querySelectorAll("img[alt], svg[aria-label]")].map((image) => image.alt || image.getAttribute("aria-label")).join(" ");
    const words = [...element.childNodes].length ? element.textContent : "";
    return (by || element.getAttribute("aria-label") || words || images || element.title || "").trim();
  };

  if (!document.documentElement.lang) faults.push("html has no lang");
  if (!document.title.trim()) faults.push("no title");
  const mains = [...document.querySelectorAll("main, [role=main]")];
  if (mains.length !== 1) faults.push(`${mains.length} main landmarks`);
  const firsts = [...document.querySelectorAll("h1")].filter(shown);
  if (firsts.length !== 1) faults.push(`${firsts.length} h1`);

  let level = 0;
  for (const heading of (mains[0] || document).querySelectorAll("h1, h2, h3, h4, h5, h6")) {
    if (!shown(heading)) continue;
    const next = Number(heading.tagName[1]);
    if (level && next > level + 1) faults.push(`heading jumps from h${level} to ${where(heading)}`);
    level = next;
  }

  for (const field of document.querySelectorAll("input:not([type=hidden]):not([type=submit]):not([type=button]), select, textarea")) {
    if (!shown(field)) continue;
    const labelled = field.labels?.length || field.getAttribute("aria-label") || field.getAttribute("aria-labelledby") || field.title;
    if (!labelled) faults.push(`no label: ${where(field)}`);
  }
  for (const image of document.querySelectorAll("img:not([alt])")) faults.push(`no alt: ${image.src}`);
  for (const control of document.querySelectorAll("a[href], button, [role=button]")) {
    if (shown(control) && !name(control)) faults.push(`no name: ${control.outerHTML.slice(0, 90)}`);
  }
  /* WCAG 2.2, 2.5.8: 24 by 24 pixels, or so much room that a circle of 24 pixels around it meets no other target. */
  const targets = [...document.querySelectorAll("a[href], button, input:not([type=hidden]), select, textarea, summary")]
    .filter(shown)
    .map((control) => {
      const after = getComputedStyle(control, "::after");
      const stretched = after.content !== "none" && after.position === "absolute";
      const box = (stretched ? control.offsetParent : control.labels?.[0]?.contains(control) ? control.labels[0] : control).getBoundingClientRect();
      return { control, box, x: box.left + box.width / 2, y: box.top + box.height / 2, small: box.height < 23.5 || box.width < 23.5 };
    });
  for (const target of targets) {
    if (!target.small || target.control.closest("p, pre")) continue; /* in a sentence the size is the line's */
    const crowded = targets.some((other) => {
      if (other === target || other.control.contains(target.control) || target.control.contains(other.control)) return false;
      if (other.small) return Math.hypot(other.x - target.x, other.y - target.y) < 24;
      const dx = Math.max(other.box.left - target.x, 0, target.x - other.box.right);
      const dy = Math.max(other.box.top - target.y, 0, target.y - other.box.bottom);
      return Math.hypot(dx, dy) < 12;
    });
    if (crowded) faults.push(`target ${Math.round(target.box.width)}x${Math.round(target.box.height)}: ${where(target.control)}`);
  }

  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  canvas.canvas.width = canvas.canvas.height = 1;
  const rgba = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = (top, below) => [0, 1, 2].map((i) => top[i] * top[3] + below[i] * (1 - top[3])).concat(1);
  const background = (element) => {
    const layers = [];
    for (let at = element; at; at = at.parentElement) {
      const style = getComputedStyle(at);
      if (style.backgroundImage !== "none") return null;
      layers.push(rgba(style.backgroundColor));
    }
    return layers.reverse().reduce((below, top) => over(top, below), [255, 255, 255, 1]);
  };
  const light = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map((c) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const seen = new Set();
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.textContent.trim() || !shown(element) || element.closest("[aria-hidden=true], :disabled, script, style, option")) continue;
    const style = getComputedStyle(element);
    const below = background(element);
    if (!below) continue;
    const text = over(rgba(style.color), below);
    const [a, b] = [light(text), light(below)].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    const size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    const key = text.map(Math.round) + "/" + below.map(Math.round);
    if (ratio < (large ? 3 : 4.5) - 0.01 && !seen.has(key)) {
      seen.add(key);
      faults.push(`contrast ${ratio.toFixed(2)}: ${where(element)} ${style.color} on ${below.map(Math.round).slice(0, 3)}`);
    }
  }
  return faults;
}
