// What the page does by itself: theme, keys, inserting words, playing clips. Everything else is decided by the server.
(() => {
  const KEY = "prior-studio-theme";
  const stored = () => { try { return localStorage.getItem(KEY); } catch { return null; } };
  let theme = new URLSearchParams(location.search).get("__theme") || stored() || "dark";

  // Gradio follows the system's theme; here the person's own choice holds, dark at first.
  const applyTheme = () => {
    document.documentElement.style.background = theme === "dark" ? "#111214" : "#f4f4f2";
    document.body?.classList.toggle("dark", theme === "dark");
  };
  const keepTheme = () => {
    applyTheme();
    new MutationObserver(() => {
      if (document.body.classList.contains("dark") !== (theme === "dark")) applyTheme();
    }).observe(document.body, { attributes: true, attributeFilter: ["class"] });
  };

  // Of several forms, the one in view.
  const visible = (selector) => [...document.querySelectorAll(selector)].find((each) => each.offsetParent !== null && !each.disabled) || null;
  const field = () => visible(".prompt-field textarea");
  const shown = (name) => visible(`.run-row :is(button.${name}, .${name} button)`);

  const insert = (words) => {
    const prompt = field();
    if (!prompt) return;
    const before = prompt.value.trimEnd();
    prompt.value = before ? `${before} ${words}` : words;
    prompt.dispatchEvent(new Event("input", { bubbles: true }));
    prompt.focus();
  };

  const download = (url) => {
    if (!url) return;
    const link = document.createElement("a");
    link.href = url;
    link.download = decodeURIComponent(url.split("/").pop());
    link.click();
  };

  document.addEventListener("click", (event) => {
    const target = event.target.closest("[data-theme-toggle], [data-insert], [data-focus-prompt], [data-open-api]");
    if (!target) return;
    if (target.dataset.insert) insert(target.dataset.insert);
    else if ("openApi" in target.dataset) document.querySelector("footer .show-api")?.click(); // Gradio's own, kept in the hidden footer
    else if ("focusPrompt" in target.dataset) setTimeout(() => { field()?.focus(); field()?.select(); }, 300);
    else {
      theme = theme === "dark" ? "light" : "dark";
      try { localStorage.setItem(KEY, theme); } catch { /* a browser without storage keeps it for this page */ }
      applyTheme();
    }
  });

  // What was asked for comes into view.
  document.addEventListener("click", (event) => {
    const asked = event.target.closest('.shelf [data-do="show"], .shelf [data-do="follow"]');
    const ran = window.innerWidth <= 860 && event.target.closest(".run-row .run, [data-do='rerun']");
    if (asked || ran) visible(".chain, .on-stage, #wall")?.scrollIntoView({ block: "start", behavior: "smooth" });
  });

  // A double click on Run must not stop what it has just started.
  let started = -Infinity;
  document.addEventListener("click", (event) => {
    if (event.target.closest(".run-row .run")) started = event.timeStamp;
    else if (event.target.closest(".run-row .stop") && event.timeStamp - started < 450) event.stopImmediatePropagation();
  }, true);

  document.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      if (document.activeElement?.type === "number") document.activeElement.blur(); // its slider brings the value into the range
      setTimeout(() => (shown("run") || shown("another"))?.click(), 50);
    } else if (event.key === "Escape" && !document.querySelector("ul.options, [role=listbox], .wall-loupe[data-pinned]")) {
      shown("stop")?.click();
    } else if (event.key === " " && event.target.closest?.("[data-toggle-play]")) {
      event.preventDefault();
      event.target.click();
    }
  }, true);

  // Clips play by themselves, muted, in step with those beside them; in the gallery, while pointed at or focused.
  const watching = new IntersectionObserver((entries) => entries.forEach(({ target, isIntersecting }) => {
    if (!target.autoplay || still.matches) return;
    if (isIntersecting) target.play().catch(() => {});
    else target.pause(); // nobody sees it: another tab is open, or it is scrolled away
  }));
  const wake = (video) => {
    video.muted = true;
    watching.observe(video);
    if (video.dataset.awake !== video.currentSrc + video.src) {
      video.dataset.awake = video.currentSrc + video.src;
      if (video.autoplay && video.offsetParent) video.play().catch(() => {});
    }
  };
  const still = window.matchMedia("(prefers-reduced-motion: reduce)");
  const wakeAll = () => document.querySelectorAll("video[data-clip]").forEach((video) => (still.matches ? video.setAttribute("controls", "") : wake(video)));
  for (const [name, action] of [["pointerover", "play"], ["focusin", "play"], ["pointerout", "pause"], ["focusout", "pause"]]) {
    document.addEventListener(name, (event) => {
      const video = event.target.closest?.("[data-hover-play]")?.querySelector("video");
      if (video) { video.muted = true; const done = video[action](); done?.catch?.(() => {}); }
    });
  }

  // One may type at once, but not on a narrow screen: there the stage comes first, and the prompt would scroll it away.
  const readyToType = () => {
    const field = document.querySelector("#prompt textarea");
    if (!field) return;
    awaiting.disconnect();
    if (window.matchMedia("(min-width: 861px)").matches && document.activeElement === document.body) field.focus({ preventScroll: true });
  };
  const awaiting = new MutationObserver(readyToType);

  const start = () => {
    keepTheme();
    awaiting.observe(document.body, { childList: true, subtree: true });
    new MutationObserver(wakeAll).observe(document.body, { childList: true, subtree: true, attributes: true, attributeFilter: ["src"] });
    wakeAll();
  };
  window.priorStudio = { download };
  if (document.body) start();
  else document.addEventListener("DOMContentLoaded", start);
})();
