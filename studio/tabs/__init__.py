"""One file a tab: render() builds its components, listen(components, engine) connects them. `views` is their HTML."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass, field


@dataclass(frozen=True)
class Errand:
    """What one tab asks of another: `what` to do with the clip or job `id`. The time makes asking twice two errands."""

    what: str
    id: str
    asked: float = field(default_factory=time.monotonic)

    def to_text(self) -> str:
        """For a hidden text box, whose changes the page tells; those of a `gr.State` are not told without Gradio's queue."""
        return json.dumps(asdict(self))

    @classmethod
    def from_text(cls, text: str) -> Errand | None:
        return cls(**json.loads(text)) if text else None


# Where each kind of job, and each errand, is at home.
PLACES = {
    "text_to_video": "text-to-video",
    "text_to_video-settings": "text-to-video",
    "reference": "reference",
    "reference-settings": "reference",
    "finishing": "reference",
    "as-reference": "reference",
    "comparison": "prior-strength",
    "compare": "prior-strength",
    "domain_training": "prior-strength",
    "one_shot_tuning": "one-shot",
    "tune": "one-shot",
    "edits": "one-shot",
    "edit": "one-shot",
    "measuring": "models",
}

# Listens to every button of an HTML component: data-do says what to do; data-confirm asks once more before doing it, and goes on asking
# where the server draws the component anew meanwhile. A button in a fold with a data-form sends the values of its fields as well.
ACTIONS_JS = """
let asked = null, patience = 0;
const keyOf = (button) => [button.dataset.do, button.dataset.clip, button.dataset.job, button.dataset.model].join();
const show = () => element.querySelectorAll('[data-confirm]').forEach((button) => {
  const asks = keyOf(button) === asked;
  if (asks === ('said' in button.dataset)) return;
  if (asks) button.dataset.said = button.textContent;
  button.textContent = asks ? button.dataset.confirm : button.dataset.said;
  if (!asks) delete button.dataset.said;
});
const ask = (key) => {
  clearTimeout(patience);
  asked = key;
  show();
  if (key) patience = setTimeout(() => ask(null), 6000);
};
new MutationObserver(show).observe(element, { childList: true, subtree: true });
element.addEventListener('click', (event) => {
  const target = event.target.closest('[data-do]');
  if (!target || !element.contains(target) || target.disabled) return;
  if (target.dataset.confirm && keyOf(target) !== asked) return ask(keyOf(target));
  if (target.dataset.confirm) ask(null);
  const form = target.closest('details')?.querySelector('[data-form]');
  const fields = form ? [...form.querySelectorAll('[name]:not(:disabled)')] : [];
  const values = Object.fromEntries(fields.map((field) => [field.name, field.type === 'checkbox' ? field.checked : field.value]));
  trigger('click', form ? { ...target.dataset, values } : { ...target.dataset });
});
"""

# A handler only submits or looks, so it answers in the request itself; the newest of several waits for the one before.
QUICK = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
