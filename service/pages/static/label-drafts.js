// What was typed or ordered and not sent: in this browser at once, at the service a moment later.
const QUIET_MS = 800;
const OLD_MS = 7 * 24 * 3600 * 1000;

export class Drafts {
  constructor(annotator, csrf) {
    this.prefix = `charter.draft.${annotator}.`;
    this.csrf = csrf;
    this.timer = null;
    for (const key of Object.keys(localStorage))
      if (key.startsWith(this.prefix) && Date.now() - JSON.parse(localStorage.getItem(key)).at > OLD_MS)
        localStorage.removeItem(key);
    addEventListener("pagehide", () => this.flush());
  }

  watch(article) {
    this.flush();
    this.form = article.querySelector("form");
    const kept = localStorage.getItem(this.prefix + article.dataset.task);
    if (kept) this.fill(JSON.parse(kept));
    this.form.addEventListener("input", () => this.changed());
  }

  fill(kept) {
    const { comment, rewrite } = this.form.elements;
    if (comment && kept.comment) {
      comment.value = kept.comment;
      comment.closest("details").open = true;
    }
    if (rewrite && kept.rewrite) rewrite.value = kept.rewrite;
    const list = this.form.querySelector(".ranking");
    for (const letter of list ? kept.letters : []) list.append(list.querySelector(`[data-letter="${letter}"]`));
  }

  changed() {
    const { task_id, comment, rewrite } = this.form.elements;
    const letters = [...this.form.querySelectorAll(".ranking li")].map((item) => item.dataset.letter);
    const kept = { comment: comment?.value, rewrite: rewrite?.value, letters, at: Date.now() };
    try {
      localStorage.setItem(this.prefix + task_id.value, JSON.stringify(kept));
    } catch (error) {
      console.warn("a draft is kept by the service only", error.name);
    }
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.flush(), QUIET_MS);
  }

  flush() {
    if (this.timer === null) return;
    clearTimeout(this.timer);
    this.timer = null;
    const body = new URLSearchParams(new FormData(this.form));
    for (const name of ["csrf", "shown_at", "seconds"]) body.delete(name);
    const headers = { "HX-Request": "true", "X-CSRF-Token": this.csrf() };
    // A draft that does not arrive is still in this browser.
    fetch("/label/draft", { method: "POST", body, headers, keepalive: true }).catch(() => null);
  }

  forget(task) {
    clearTimeout(this.timer);
    this.timer = null;
    localStorage.removeItem(this.prefix + task);
  }
}
