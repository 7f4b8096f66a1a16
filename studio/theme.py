"""The look: one accent, system fonts, dark by default with a real light theme. The rest is assets/studio.css and studio.js."""

from __future__ import annotations

import gradio as gr

from .settings import ROOT

ASSETS = ROOT / "assets"
SANS = ("ui-sans-serif", "system-ui", "-apple-system", "Segoe UI", "Roboto", "Helvetica Neue", "Arial", "sans-serif")
MONO = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "Liberation Mono", "monospace")

# Every colour is a custom property of studio.css, where it has a light and a dark value.
COLOURS = {
    "body_background_fill": "--ground",
    "body_text_color": "--text",
    "body_text_color_subdued": "--text-quiet",
    "background_fill_primary": "--panel",
    "background_fill_secondary": "--ground",
    "border_color_primary": "--line",
    "border_color_accent": "--accent",
    "border_color_accent_subdued": "--line",
    "color_accent_soft": "--accent-soft",
    "block_background_fill": "--panel",
    "block_border_color": "--line",
    "block_label_background_fill": "--panel",
    "block_label_text_color": "--text-quiet",
    "block_title_text_color": "--text",
    "block_info_text_color": "--text-quiet",
    "panel_background_fill": "--panel",
    "panel_border_color": "--line",
    "accordion_text_color": "--text",
    "input_background_fill": "--field",
    "input_background_fill_focus": "--field",
    "input_border_color": "--line",
    "input_border_color_focus": "--accent",
    "input_placeholder_color": "--text-faint",
    "slider_color": "--accent",
    "loader_color": "--accent",
    "link_text_color": "--accent-text",
    "link_text_color_hover": "--accent-text",
    "link_text_color_active": "--accent-text",
    "link_text_color_visited": "--accent-text",
    "checkbox_label_background_fill": "--field",
    "checkbox_label_background_fill_hover": "--raised",
    "checkbox_label_background_fill_selected": "--accent-soft",
    "checkbox_label_border_color": "--line",
    "checkbox_label_border_color_selected": "--accent",
    "checkbox_label_text_color": "--text",
    "checkbox_label_text_color_selected": "--text",
    "checkbox_background_color": "--field",
    "checkbox_background_color_selected": "--accent",
    "checkbox_border_color": "--line-strong",
    "checkbox_border_color_selected": "--accent",
    "button_primary_background_fill": "--accent",
    "button_primary_background_fill_hover": "--accent-strong",
    "button_primary_border_color": "--accent",
    "button_primary_text_color": "--on-accent",
    "button_secondary_background_fill": "--raised",
    "button_secondary_background_fill_hover": "--line",
    "button_secondary_border_color": "--line",
    "button_secondary_text_color": "--text",
    "button_cancel_background_fill": "--raised",
    "button_cancel_background_fill_hover": "--line",
    "button_cancel_border_color": "--line-strong",
    "button_cancel_text_color": "--text",
    "error_background_fill": "--panel",
    "error_border_color": "--bad",
    "error_text_color": "--bad",
    "error_icon_color": "--bad",
}
SHAPES = {
    "block_border_width": "0px",
    "block_shadow": "none",
    "block_padding": "0",
    "block_radius": "8px",
    "block_title_text_weight": "550",
    "block_title_text_size": "13px",
    "block_info_text_size": "12px",
    "block_label_text_size": "12px",
    "container_radius": "8px",
    "form_gap_width": "0px",
    "layout_gap": "14px",
    "input_border_width": "1px",
    "input_radius": "8px",
    "input_shadow": "none",
    "input_shadow_focus": "none",
    "input_text_size": "14px",
    "checkbox_label_text_size": "13px",
    "checkbox_label_padding": "5px 10px",
    "checkbox_label_shadow": "none",
    "button_large_radius": "8px",
    "button_medium_radius": "8px",
    "button_small_radius": "6px",
    "button_large_text_size": "15px",
    "button_large_padding": "10px 16px",
    "button_primary_shadow": "none",
    "button_transition": "background-color .12s, border-color .12s",
    "body_text_size": "14px",
}


def theme() -> gr.themes.Base:
    """Gradio's plainest theme with our colours, the same custom properties in both modes."""
    base = gr.themes.Base(primary_hue="amber", secondary_hue="amber", neutral_hue="neutral", font=SANS, font_mono=MONO)
    colours = {name: f"var({variable})" for name, variable in COLOURS.items()}
    known = set(vars(base))
    dark = {f"{name}_dark": value for name, value in (colours | SHAPES).items() if f"{name}_dark" in known}
    return base.set(**colours, **SHAPES, **dark)


def css() -> str:
    return (ASSETS / "studio.css").read_text(encoding="utf-8")


def head() -> str:
    """Runs before the page is drawn: the ground's colour at once, and the script that knows keys, theme and videos."""
    script = (ASSETS / "studio.js").read_text(encoding="utf-8")
    return f'<meta name="color-scheme" content="dark light"><style>html {{ background: #111214 }}</style><script>{script}</script>'
