// The page's keys, and the switch that turns those of one letter off (WCAG 2.1.4).
const CHOICES = { 1: "first", 2: "second", 3: "tie", 4: "both_bad", s: "skip" };
const TYPING = "textarea, select, input:not([type=checkbox])";
const STEPS = { j: 1, ArrowDown: 1, k: -1, ArrowUp: -1 };

export function listenToKeys(desk) {
  const keys = document.getElementById("keys");
  const help = document.getElementById("help");
  const askHelp = document.getElementById("ask-help");
  keys.closest("label").hidden = askHelp.hidden = false;
  keys.checked = localStorage.getItem("charter.keys") !== "off";
  const switched = () => document.documentElement.classList.toggle("keys", keys.checked);
  switched();
  keys.addEventListener("change", () => {
    localStorage.setItem("charter.keys", keys.checked ? "on" : "off");
    switched();
  });
  askHelp.addEventListener("click", () => help.showModal());
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.altKey || event.metaKey || event.repeat || event.isComposing || help.open) return;
    const done = event.target.matches(TYPING) ? typing(event, desk) : pressed(event, desk, keys.checked);
    if (done) event.preventDefault();
  });
}

function typing(event, desk) {
  if (event.key === "Enter" && event.ctrlKey) return choose(desk, "rewritten");
  if (event.key === "Escape") desk.article?.querySelector("h2").focus();
  return false;
}

function pressed(event, desk, lettersCount) {
  if (event.ctrlKey) return false;
  // By its place on the keyboard: on some layouts a digit needs Shift.
  const digit = event.shiftKey ? null : /^Digit([1-4])$/.exec(event.code);
  const key = digit ? digit[1] : event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if (event.key.length === 1 && !lettersCount) return false;
  if (key in STEPS) return step(event, desk, STEPS[key]);
  if (key === "Enter") return event.target.matches(".ranking li") && choose(desk, "ranked");
  if (key in CHOICES) return choose(desk, CHOICES[key]);
  if (key === "u") return press(document.querySelector("#undo:not([hidden]) button"));
  if (key === "?") return press(document.getElementById("ask-help"));
  return key === "c" && comment(desk);
}

function choose(desk, value) {
  const button = desk.article?.querySelector(`button[value="${value}"]`);
  if (!button) return false;
  button.form.requestSubmit(button);
  return true;
}

function press(button) {
  button?.click();
  return Boolean(button);
}

function comment(desk) {
  const details = desk.article?.querySelector(".comment");
  if (!details) return false;
  details.open = true;
  details.querySelector("textarea").focus();
  return true;
}

// Letters begin the list from anywhere; arrows scroll the page unless a reply of the list has the focus.
function step(event, desk, by) {
  const items = [...(desk.article?.querySelectorAll(".ranking li") ?? [])];
  const item = event.target.closest?.(".ranking li");
  if (!items.length || (!item && event.key.startsWith("Arrow"))) return false;
  if (item && event.shiftKey) {
    item.parentNode.dispatchEvent(new CustomEvent("ranking-move", { detail: { item, step: by } }));
    return true;
  }
  const chosen = item ? items[items.indexOf(item) + by] : items[0];
  chosen?.focus();
  return true;
}
