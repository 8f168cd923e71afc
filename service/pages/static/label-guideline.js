// The guideline stays open or closed as the person left it, in this browser.
export function rememberGuideline() {
  const guideline = document.getElementById("guideline");
  if (!guideline) return;
  const key = `charter.guideline.${guideline.dataset.project}`;
  const left = localStorage.getItem(key);
  if (left) guideline.open = left === "open";
  const remember = () => localStorage.setItem(key, guideline.open ? "open" : "closed");
  remember();
  guideline.addEventListener("toggle", remember);
}
