"""A slider whose limits change with the model."""

from __future__ import annotations

import gradio as gr


class Slider(gr.Slider):
    """Takes any value from the page: what was on its way while its limits changed is refused by the engine, in words, not by Gradio's
    toast."""

    is_template = True  # to the page it is Gradio's own

    def preprocess(self, payload: float) -> float:
        return payload
