// Answers on their way: kept in this browser until the service has them, sent one after the other.
const RETRY_MS = [1000, 2000, 4000, 8000, 15000, 30000];
const PATIENCE_MS = 20000;

export class Outbox {
  constructor(annotator, csrf, told) {
    this.prefix = `charter.answer.${annotator}.`;
    this.csrf = csrf;
    this.told = told;
    this.failures = 0;
    this.sending = false;
    this.locked = false;
    this.answers = Object.keys(localStorage)
      .filter((key) => key.startsWith(this.prefix))
      .map((key) => ({ task: key.slice(this.prefix.length), ...JSON.parse(localStorage.getItem(key)) }))
      .sort((one, other) => one.at - other.at);
  }

  get waiting() {
    return this.answers.length;
  }

  holds(task) {
    return this.answers.some((answer) => answer.task === task);
  }

  // `tell`: a training task's answer, after which the right one is told.
  add(task, body, tell) {
    const answer = { body, tell, at: Date.now() };
    this.answers.push({ task, ...answer });
    try {
      localStorage.setItem(this.prefix + task, JSON.stringify(answer));
    } catch (error) {
      // A full or forbidden storage: the answer is kept in this page alone, which asks before it is left.
      console.warn("an answer is kept in this page only", error.name);
    }
    this.send();
  }

  async send() {
    if (this.sending) return;
    this.sending = true;
    while (this.answers.length && !this.locked) {
      const answer = this.answers[0];
      const { status, text } = await this.post(answer.body);
      if (this.isToWait(status)) break;
      this.failures = 0;
      this.answers.shift();
      localStorage.removeItem(this.prefix + answer.task);
      const problem = status === 204 ? null : read(text);
      if (problem === null) this.told.saved(answer);
      else if (problem.code === "answered_before") this.told.answeredBefore(answer);
      else this.told.refused(answer, problem.detail ?? "the service gave no reason");
    }
    this.sending = false;
  }

  // Status 0: the network, or a service that was silent for too long.
  async post(body) {
    const headers = {
      "Content-Type": "application/x-www-form-urlencoded",
      "HX-Request": "true",
      "X-CSRF-Token": this.csrf(),
    };
    try {
      const signal = AbortSignal.timeout(PATIENCE_MS);
      const response = await fetch("/label/answer", { method: "POST", body, headers, signal });
      return { status: response.status, text: await response.text() };
    } catch {
      return { status: 0, text: "" };
    }
  }

  // True where the answer must wait: for the network, for the service, or for the person to enter again.
  isToWait(status) {
    const number = this.answers.length === 1 ? "1 answer is" : `${this.answers.length} answers are`;
    if (status === 401 || status === 403) {
      this.locked = true;
      this.told.trouble(`Your session has ended: ${number} kept in this browser. Open your invitation's link again.`);
      return true;
    }
    // A stored answer is a 204; a page that is not ours, such as a hotel's, comes with a 200.
    const isOurs = status === 204 || (status >= 400 && status < 500);
    if (isOurs && status !== 408 && status !== 429) return false;
    this.told.trouble(`Not saved yet: ${number} kept in this browser, and sent as soon as the service can be reached.`);
    setTimeout(() => this.send(), RETRY_MS[Math.min(this.failures, RETRY_MS.length - 1)]);
    this.failures += 1;
    return true;
  }
}

function read(text) {
  try {
    return JSON.parse(text);
  } catch {
    return {};
  }
}
