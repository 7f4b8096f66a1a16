"""One file a tab: render() builds its components, listen(components, engine) connects them. `views` is their HTML."""

# Listens to every button of an HTML component: data-do says what to do; data-confirm asks once more before doing it.
ACTIONS_JS = """
element.addEventListener('click', (event) => {
  const target = event.target.closest('[data-do]');
  if (!target || !element.contains(target) || target.disabled) return;
  if (target.dataset.confirm && !target.dataset.armed) {
    const before = target.textContent;
    target.dataset.armed = 'yes';
    target.textContent = target.dataset.confirm;
    setTimeout(() => { if (target.isConnected) { delete target.dataset.armed; target.textContent = before; } }, 4000);
    return;
  }
  trigger('click', { ...target.dataset });
});
"""

# A handler only submits or looks, so it answers in the request itself; the newest of several waits for the one before.
QUICK = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
