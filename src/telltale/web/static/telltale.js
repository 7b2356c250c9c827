// What HTML and htmx cannot say by themselves.

// A live update must not close what the reader opened, nor touch what they have typed or chosen.
const isEdited = (name, node) =>
  (name === "value" && node.defaultValue !== undefined && node.value !== node.defaultValue) ||
  (name === "checked" && node.checked !== node.defaultChecked) ||
  (name === "selected" && node.selected !== node.defaultSelected);
Idiomorph.defaults.ignoreActiveValue = true;
Idiomorph.defaults.callbacks.beforeAttributeUpdated = (name, node) =>
  !(name === "open" && node.tagName === "DETAILS") && !isEdited(name, node);

// Ctrl+Enter or Cmd+Enter sends. Enter alone presses no button of the composer: the first of them adds a note.
document.addEventListener("keydown", (event) => {
  if (event.key !== "Enter") return;
  if (event.ctrlKey || event.metaKey) {
    event.target.closest("form.composer, form.letter")?.requestSubmit();
  } else if (event.target.matches("form.composer input, form.letter[method=post] input")) {
    event.preventDefault();
  }
});

// A reply can be taken back until it leaves: count the seconds, then take the buttons away.
setInterval(() => {
  for (const strip of document.querySelectorAll("[data-leaves]")) {
    const seconds = Math.ceil((new Date(strip.dataset.leaves) - Date.now()) / 1000);
    strip.hidden = seconds <= 0;
    if (seconds > 0 && seconds <= 60) strip.querySelector("time").textContent = `in ${seconds} s`;
  }
}, 250);

// A reply is checked against what its writer has seen: the newest version on the page.
document.addEventListener("htmx:configRequest", (event) => {
  const version = document.getElementById("version");
  if (version && "seen" in event.detail.parameters) event.detail.parameters.seen = version.value;
});

// A refused action says why, a lost server says so; both in one place that is read aloud.
function tell(text) {
  const box = document.getElementById("problem");
  if (!box) return;
  box.textContent = text;
  box.hidden = !text;
}
document.addEventListener("htmx:afterRequest", (event) => {
  const { xhr, target, successful } = event.detail;
  if (successful) return tell("");
  if (xhr.status === 422) {
    if (xhr.getResponseHeader("Content-Type")?.startsWith("text/plain") && !target.classList.contains("fault")) {
      tell(xhr.responseText);
    }
  } else if (xhr.status === 0) {
    tell("The desk does not answer. What you typed is still here; try again in a moment.");
  } else if (xhr.status === 403) {
    tell("You have been signed out. Sign in again in another tab; what you typed is still here.");
  } else {
    tell(`That did not work (${xhr.status}). What you typed is still here; try again.`);
  }
});

// The newest part is at the end: open there, unless the address points somewhere.
document.addEventListener("DOMContentLoaded", () => {
  const zone = document.querySelector("input[name=time_zone]");
  if (zone) zone.value = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const parts = document.getElementById("parts");
  if (parts && !location.hash) parts.lastElementChild?.scrollIntoView({ block: "end" });
});

// "Copy" stands beside what an admin carries into another window; browsers allow it on HTTPS and on this machine.
document.addEventListener("DOMContentLoaded", () => {
  if (!navigator.clipboard) return;
  for (const button of document.querySelectorAll("[data-copy]")) {
    button.hidden = false;
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
      button.textContent = "Copied";
    });
  }
});

// A formatted message stands in a frame without scripts: the page makes the frame as high as what is in it.
const TALLEST_LETTER = 8000;
function fit(frame) {
  const shown = frame.contentDocument;
  if (!shown?.body) return;
  const measure = () => {
    frame.style.height = `${Math.min(shown.documentElement.offsetHeight, TALLEST_LETTER)}px`;
  };
  new ResizeObserver(measure).observe(shown.documentElement);
  measure();
}
document.addEventListener("load", (event) => event.target.matches?.("iframe.formatted") && fit(event.target), true);
document.addEventListener("DOMContentLoaded", () => {
  for (const frame of document.querySelectorAll("iframe.formatted")) {
    if (frame.contentDocument?.readyState === "complete") fit(frame);
  }
});
