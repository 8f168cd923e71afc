// What was typed in an answer that the service refused: shown, and kept in this browser until the person removes it,
// a week at most.
const OLD_MS = 7 * 24 * 3600 * 1000;

export class Refused {
  constructor(section) {
    this.section = section;
    this.prefix = `charter.refused.${section.dataset.annotator}.`;
    for (const key of Object.keys(localStorage)) {
      if (!key.startsWith(this.prefix)) continue;
      const kept = JSON.parse(localStorage.getItem(key));
      if (Date.now() - kept.at > OLD_MS) localStorage.removeItem(key);
      else this.show(key, kept);
    }
  }

  // False where nothing had been typed, and nothing is kept.
  keep(answer, detail) {
    const said = new URLSearchParams(answer.body);
    const rewrite = said.get("choice") === "rewritten" ? said.get("rewrite") : "";
    const texts = [rewrite, said.get("comment")].filter((text) => text?.trim());
    if (texts.length === 0) return false;
    const key = this.prefix + answer.task;
    const kept = { texts, detail, at: Date.now() };
    try {
      localStorage.setItem(key, JSON.stringify(kept));
    } catch (error) {
      console.warn("a refused answer is kept in this page only", error.name);
    }
    this.show(key, kept);
    return true;
  }

  show(key, { texts, detail }) {
    const entry = document.createElement("li");
    const why = document.createElement("p");
    why.textContent = `Not taken: ${detail}`;
    const written = texts.map((text) => {
      const box = document.createElement("div");
      box.className = "written";
      box.dir = "auto";
      box.textContent = text;
      return box;
    });
    const remove = document.createElement("button");
    remove.type = "button";
    remove.textContent = "Remove";
    remove.addEventListener("click", () => {
      localStorage.removeItem(key);
      entry.remove();
      this.section.hidden = this.list.childElementCount === 0;
    });
    entry.append(why, ...written, remove);
    this.list.append(entry);
    this.section.hidden = false;
  }

  get list() {
    return this.section.querySelector("ul");
  }
}
