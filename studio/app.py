"""The page: header, tabs and API over an engine. Building it imports neither torch nor diffusers."""

from __future__ import annotations

from typing import Any

import gradio as gr

from pipelines.errors import ModelError

from . import theme
from .engine import Engine
from .examples import FOLDER
from .settings import Settings
from .tabs import controls, endpoints, gallery, model_choice, models, one_shot, prior_strength, reference, text_to_video

HEADER_SECONDS = 2.0
MAX_UPLOAD = "512mb"  # the largest file that the page takes: a minute from a telephone


def build(engine: Engine) -> gr.Blocks:
    """The whole page, to be launched with `launch_arguments`."""
    with gr.Blocks(title="Prior Studio", fill_width=True, analytics_enabled=False) as page:
        endpoints.render(engine)  # first: names go to whoever asks for them first
        header = model_choice.render(engine)
        errand, wall_form = gr.Textbox(visible="hidden", label="Errand", elem_id="errand"), controls.form_memory("wall")
        memory = controls.form_memory("reference"), controls.form_memory("reference-job")
        with gr.Tabs(selected="text-to-video", elem_id="tabs") as tabs:
            model, limits = engine.settings.model_dir, frame_limits(engine)
            chooser, known = header.model, (errand, model.name, engine.domain_models(), limits)
            with gr.Tab("Text to video", id="text-to-video"):
                making = text_to_video.render(tabs, chooser, *known)
            with gr.Tab("Reference image", id="reference"):
                referring = reference.render(memory, tabs, chooser, errand, model, limits)
            with gr.Tab("One-shot tuning", id="one-shot"):
                editing = one_shot.render(tabs, errand, model, limits)
            with gr.Tab("Prior strength", id="prior-strength"):
                comparing = prior_strength.render(wall_form, tabs, chooser, *known)
            with gr.Tab("Gallery", id="gallery") as gallery_tab:
                past = gallery.render(gallery_tab, tabs, errand)
            with gr.Tab("Models", id="models") as models_tab:
                shelf = models.render(models_tab, tabs, chooser, engine.settings.models_open)
        desks = (
            text_to_video.listen(making, engine, page),
            reference.listen(referring, engine, page),
            prior_strength.listen(comparing, engine, page, making.fields["domain_model"]),
        )
        one_shot.listen(editing, engine, page, chooser)
        gallery.listen(past, engine)
        models.listen(shelf, engine)
        model_choice.listen(header, engine, page, HEADER_SECONDS, desks)
    return page


def frame_limits(engine: Engine) -> tuple[int, int] | None:
    """What the model can make; None when there is no model to ask, which the first run will say."""
    try:
        own = engine.defaults()
    except ModelError:
        return None
    return own.min_frames, own.max_frames


def launch_arguments(settings: Settings) -> dict[str, Any]:
    """What `Blocks.launch` needs: address, look, and the only folders that the page may read files from."""
    data = settings.data_dir.resolve()
    return {
        "server_name": settings.host,
        "server_port": settings.port,
        "share": settings.share,
        "theme": theme.theme(),
        "css": theme.css(),
        "head": theme.head(),
        "allowed_paths": [
            *(str(data / name) for name in ("clips", "previews", "walls", "stages", "sources", "domain_models", "tuned_models", "shared")),
            str(FOLDER),
        ],
        "max_file_size": MAX_UPLOAD,
        "footer_links": ["api"],  # the header links to it; the footer itself is hidden
        "run_history": False,  # the gallery is the history, and it is complete
        "show_error": True,
        "ssr_mode": False,
        "quiet": True,
    }
