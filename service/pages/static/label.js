// The labelling page with a script: the next task is there at once, while the answer is on its way.
import { Drafts } from "./label-drafts.js";
import { rememberGuideline } from "./label-guideline.js";
import { listenToKeys } from "./label-keys.js";
import { Outbox } from "./label-outbox.js";
import { makeRanking } from "./label-ranking.js";
import { Refused } from "./label-refused.js";

// A second press of a key that was meant once must not answer a task that nobody has read.
const UNREAD_MS = 200;
const REFILL_MS = 2000;

class Desk {
  constructor(work, kept) {
    this.work = work;
    this.kept = kept;
    this.status = document.getElementById("status");
    this.undo = document.getElementById("undo");
    this.wantsUndo = false;
    this.answered = new Set();
    this.asked = 0;
    this.next = [...document.querySelectorAll("template.next")].map((one) => one.content.querySelector("article"));
    this.drafts = new Drafts(work.dataset.annotator, () => this.csrf);
    this.outbox = new Outbox(work.dataset.annotator, () => this.csrf, {
      saved: (answer) => this.saved(answer),
      answeredBefore: (answer) => this.answeredBefore(answer),
      refused: (answer, detail) => this.refused(answer, detail),
      trouble: (text) => this.say(text, true),
    });
  }

  get csrf() {
    return this.work.dataset.csrf;
  }

  get article() {
    return this.work.querySelector("article");
  }

  start() {
    this.work.addEventListener("submit", (event) => this.submitted(event));
    this.undo.addEventListener("submit", (event) => this.undone(event));
    addEventListener("beforeunload", (event) => {
      if (this.outbox.waiting && !this.outbox.locked) event.preventDefault();
    });
    // A page that comes back from the browser's memory may show a task that is answered by now.
    addEventListener("pageshow", (event) => event.persisted && location.reload());
    this.next = this.next.filter((article) => !this.outbox.holds(article.dataset.task));
    if (this.outbox.holds(this.article.dataset.task)) this.leave(this.article);
    else this.show(this.article, this.status.dataset.say !== "");
    if (this.status.dataset.say) this.say(this.status.dataset.say);
    history.replaceState(null, "", "/label");
    this.outbox.send();
  }

  show(article, takesFocus) {
    this.shownAt = performance.now();
    if (article.parentNode !== this.work) this.work.replaceChildren(document.importNode(article, true));
    this.drafts.watch(this.article);
    if (this.article.dataset.kind === "rank") makeRanking(this.article, (text) => this.say(text));
    if (!takesFocus) return;
    const heading = this.article.querySelector("h2");
    heading.focus({ preventScroll: true });
    scrollTo(0, 0);
    if (heading.getBoundingClientRect().bottom > innerHeight / 3) this.article.scrollIntoView({ block: "start" });
  }

  submitted(event) {
    event.preventDefault();
    const article = this.article;
    const seconds = (performance.now() - this.shownAt) / 1000;
    if (event.submitter === null || seconds * 1000 < UNREAD_MS) return;
    event.target.elements.seconds.value = seconds.toFixed(3);
    const body = new FormData(event.target, event.submitter);
    body.delete("csrf");
    this.drafts.forget(article.dataset.task);
    this.answered.add(article.dataset.task);
    this.outbox.add(article.dataset.task, new URLSearchParams(body).toString(), "training" in article.dataset);
    this.leave(article);
  }

  // From an answered task to the next one; after training, the right answer comes first, on a page of its own.
  leave(article) {
    if ("training" in article.dataset) this.wait("The right answer is told as soon as yours is saved.");
    else this.advance();
  }

  advance() {
    const article = this.next.shift();
    if (article) this.show(article, true);
    else this.wait("The next task comes as soon as your answer is saved.");
  }

  wait(text) {
    const waiting = document.createElement("p");
    waiting.textContent = text;
    this.work.replaceChildren(waiting);
  }

  saved(answer) {
    this.undo.hidden = false;
    if (answer.tell) this.toTell = answer.task;
    this.settle(true);
  }

  // What waits until every answer has arrived.
  settle(isSaved) {
    if (this.outbox.waiting) return;
    if (this.twice) this.twice.submit();
    else if (this.wantsUndo) this.undo.submit();
    else if (this.toTell) location.assign(`/label/told/${this.toTell}`);
    else this.refill(isSaved);
  }

  // The task was answered before, in another window say: the service shows both answers on a page of its own.
  answeredBefore(answer) {
    const form = document.createElement("form");
    form.method = "post";
    form.action = "/label/answer";
    form.hidden = true;
    for (const [name, value] of [...new URLSearchParams(answer.body), ["csrf", this.csrf]]) {
      const field = document.createElement("input");
      field.type = "hidden";
      field.name = name;
      field.value = value;
      form.append(field);
    }
    this.work.after(form);
    this.twice = form;
    this.settle(true);
  }

  // The next tasks, and how far the annotator has come. Of two answers that cross, the later question's counts.
  async refill(isSaved) {
    const number = ++this.asked;
    const response = await fetch("/label/next", { headers: { "HX-Request": "true" } }).catch(() => null);
    const html = response?.ok ? await response.text().catch(() => null) : null;
    if (number !== this.asked) return;
    if (html === null) {
      if (isSaved && !this.outbox.waiting) this.say("Saved.");
      if (!this.article) setTimeout(() => number === this.asked && this.refill(isSaved), REFILL_MS);
      return;
    }
    const piece = new DOMParser().parseFromString(html, "text/html");
    document.getElementById("progress").replaceChildren(...piece.getElementById("progress").childNodes);
    this.take(piece);
    const said = piece.getElementById("status").textContent.trim();
    if (isSaved && !this.outbox.waiting) this.say(`Saved. ${said}`.trim());
    document.title = document.title.replace(/^.* – /, `${said.replace(/\.$/, "")} – `);
  }

  take(piece) {
    const here = new Set([this.article, ...this.next].filter(Boolean).map((article) => article.dataset.task));
    for (const article of piece.querySelectorAll("article")) {
      const task = article.dataset.task;
      if (!here.has(task) && !this.answered.has(task) && !this.outbox.holds(task)) this.next.push(article);
    }
    if (this.article) return;
    if (this.next.length) this.advance();
    else if (!this.outbox.waiting) location.assign("/label");
  }

  refused(answer, detail) {
    this.answered.delete(answer.task);
    this.wantsUndo = false;
    const isKept = this.kept.keep(answer, detail);
    this.say(`An answer was not taken: ${detail}${isKept ? ". What you wrote stands below." : ""}`, true);
    this.settle(false);
  }

  undone(event) {
    if (!this.outbox.waiting) return;
    event.preventDefault();
    this.wantsUndo = true;
    this.say("Your last answer is taken back as soon as it is saved.");
  }

  say(text, isTrouble = false) {
    this.status.classList.toggle("trouble", isTrouble);
    if (this.status.textContent !== text) this.status.textContent = text;
  }
}

const work = document.getElementById("work");
const refused = document.getElementById("refused");
const kept = refused && new Refused(refused);
document.getElementById("next")?.focus();
if (work) {
  const desk = new Desk(work, kept);
  desk.start();
  listenToKeys(desk);
  rememberGuideline();
}
