// Ranking by buttons, by keys and by drag. The selects of the form without a script follow, and are what is sent.
export function makeRanking(article, say) {
  const list = article.querySelector(".ranking");
  const items = () => [...list.children];
  list.classList.add("ranked");
  for (const label of list.querySelectorAll(".rank")) label.hidden = true;

  function follow() {
    items().forEach((one, rank) => {
      const select = one.querySelector("select");
      select.value = [...select.options].find((option) => option.value.endsWith(`:${rank + 1}`)).value;
    });
  }

  function changed(item) {
    follow();
    list.dispatchEvent(new Event("input", { bubbles: true }));
    say(`Reply ${item.dataset.letter} is now ${place(item) + 1} of ${items().length}.`);
  }

  function move(item, step) {
    const other = step < 0 ? item.previousElementSibling : item.nextElementSibling;
    if (!other) return;
    const focused = document.activeElement;
    if (step < 0) other.before(item);
    else other.after(item);
    focused.focus();
    changed(item);
  }

  for (const item of items()) {
    item.tabIndex = 0;
    const [up, down, grip] = ["up", "down", "grip"].map((name) => item.querySelector(`.${name}`));
    for (const one of [up, down, grip]) one.hidden = false;
    up.addEventListener("click", () => move(item, -1));
    down.addEventListener("click", () => move(item, 1));
    drag(grip, item, list, () => changed(item));
  }
  list.addEventListener("ranking-move", (event) => move(event.detail.item, event.detail.step));
  follow();
}

function place(item) {
  return [...item.parentNode.children].indexOf(item);
}

function middle(item) {
  const box = item.getBoundingClientRect();
  return box.top + box.height / 2;
}

function drag(grip, item, list, changed) {
  grip.addEventListener("pointerdown", (event) => {
    event.preventDefault();
    const before = place(item);
    grip.setPointerCapture(event.pointerId);
    item.classList.add("dragged");
    // The others move around the dragged one: an element that is itself moved loses the pointer.
    const follow = (moved) => {
      const above = [...list.children].filter((one) => one !== item && moved.clientY > middle(one)).length;
      while (place(item) > above) item.after(item.previousElementSibling);
      while (place(item) < above) item.before(item.nextElementSibling);
    };
    const end = () => {
      grip.removeEventListener("pointermove", follow);
      item.classList.remove("dragged");
      if (place(item) !== before) changed();
    };
    grip.addEventListener("pointermove", follow);
    grip.addEventListener("lostpointercapture", end, { once: true });
  });
}
