"""What the tabs with a stage share: a form is run, its job is followed, clips are shown and acted on. Handlers submit and look."""

from __future__ import annotations

import secrets
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import gradio as gr

from pipelines.errors import InvalidInput, JobError, StudioError
from pipelines.pocket.captions import unknown_words

from ..engine import Engine
from ..events import FINAL, Done, Event, Failed, Step, Stopped
from ..finishing import FinishingStep
from ..reference_requests import source_of
from ..requests import SEEDS, ClipRequest, FinishingRequest, Request, TextToVideoRequest, parse_clip_request, parse_request
from . import PLACES, QUICK, Errand, controls, finishing, lora_choice, stage_views, views
from .errands import FINISHING, clip_request, elsewhere
from .model_choice import FollowsModel
from .stage_parts import BUSY_SECONDS, Components, Focus, Updates, run_buttons

RECENT = 10


class StageDesk(FollowsModel, ABC):
    """The handlers of a tab with a stage. Each returns only what it changes.

    Args:
        ui: the tab's parts.
        engine: the studio's.
        form: the tab's.
    """

    kind = ""  # of the jobs that the form asks for; the finishing of a clip is followed, too

    def __init__(self, ui: Components, engine: Engine, form: controls.Form) -> None:
        self.ui, self.engine, self.form, self.fields = ui, engine, form, ui.fields
        self.model = engine.settings.model_dir.name
        self.drawn: dict[str, Any] = {"stage": ui.stage, "shelf": ui.shelf}  # sent again whenever their HTML is another
        self.clicked: list[gr.HTML] = [ui.stage, ui.shelf]
        self.modes: dict[str, gr.Radio] = {"seed": ui.seed_mode}  # a seed's field -> what becomes of it when something is run
        self.buttons = [ui.run, ui.stop, ui.another, ui.clock]
        self.actions: dict[str, Callable[[dict[str, str]], Updates]] = {
            "use": lambda a: self._used(a["clip"]),
            "same-seed": lambda a: self._used(a["clip"]),  # and the page selects the prompt
            "use-job": lambda a: self._settings(self.engine.request_of(a["job"])),
            "prompt": lambda a: {self.ui.fields["prompt"]: a["clip"]},
            "gif": lambda a: {self.ui.download: views.file_url(self.engine.gif(a["clip"]))},
            "gallery": lambda a: {self.ui.tabs: gr.Tabs(selected="gallery")},
            "compare": lambda a: self._elsewhere("compare", a["clip"]),
            "tune": lambda a: self._elsewhere("tune", a["clip"]),
            "as-reference": lambda a: self._elsewhere("as-reference", a["clip"]),
            "rerun": lambda a: self._submitted(self.engine.rerun(a["job"])),
            "follow": lambda a: self._submitted(a["job"]),
            "skip": lambda a: self._told(self.engine.stop, a["job"]),
            "up": lambda a: self._told(self.engine.move_by, a["job"], -1),
            "down": lambda a: self._told(self.engine.move_by, a["job"], +1),
        } | {f"finish-{step}": self._finishing(step) for step in finishing.STEPS}

    @property
    def shown(self) -> list[Any]:
        """What a look changes."""
        return [*self.drawn.values(), *self.buttons, self.ui.focus, self.ui.seen]

    @property
    def outputs(self) -> list[Any]:
        """What any handler changes."""
        ui = self.ui
        told = [ui.note, ui.about_model, ui.words, ui.followed, ui.worn, ui.tabs, ui.download, ui.last_job, ui.errand]
        return [*self.shown, *told, *self.modes.values(), *ui.fields.values()]

    def connect(self, page: gr.Blocks) -> None:
        """All that these tabs have in common."""
        ui, values, view, everything = self.ui, list(self.ui.fields.values()), [self.ui.focus, self.ui.seen], self.outputs
        pressed: dict[str, Any] = {"trigger_mode": "once", **QUICK}
        for press in (ui.run, ui.another):
            press.click(self.run, [*view, *self.modes.values(), *values], everything, **pressed)
        ui.stop.click(self.stop, view, everything, **pressed)
        ui.clock.tick(self.look_again, view, self.shown, **pressed)
        for html in self.clicked:
            html.click(self.act, view, everything, **pressed)
        ui.changed.click(self.reset, [ui.fields["model"]], values, **pressed)
        # One after the other: while limits change, values that are on their way would be refused.
        switching = ui.fields["model"].change(self.switched, [ui.followed, ui.fields["model"], *view], everything, **QUICK)
        switching.then(self.edited, values, self.told, **QUICK)
        lora_choice.connect(self)
        own = [field.change for name, field in ui.fields.items() if name != "model"]
        gr.on(own, self.edited, values, self.told, trigger_mode="always_last", **QUICK)
        ui.download.change(None, [ui.download], None, js="(url) => { window.priorStudio.download(url); }", api_visibility="private")
        ui.errand.change(self.asked, [ui.errand, *view], everything, **QUICK)
        page.load(self.opened, [ui.draft, ui.last_job, *view], everything, **QUICK)

    # -- What each tab has of its own ---------------------------------------------------------------------------------------

    @property
    @abstractmethod
    def told(self) -> list[Any]:
        """What a change of the form changes."""

    @abstractmethod
    def edited(self, *values: Any) -> Updates:
        """What follows from any change of the form."""

    @abstractmethod
    def welcome(self) -> str:
        """The stage before the first run."""

    def beside(self, focus: Focus, event: Event | None) -> dict[str, str]:
        """HTML of what is drawn beside the stage and the shelf."""
        return {}

    # -- What a person does -----------------------------------------------------------------------------------------------

    def run(self, focus: Focus, seen: dict[str, Any], *values: Any) -> Updates:
        """Submits the form. An error is a sentence above the button, and nothing else changes."""
        modes = dict(zip(self.modes, values, strict=False))
        given = dict(zip(self.ui.fields, values[len(modes) :], strict=True))
        given |= {name: given[name] or "" for name in controls.CLEARED if name in given}
        fresh = {name: secrets.randbelow(SEEDS) for name, mode in modes.items() if mode == "new"}
        try:
            job_id = self.engine.submit(parse_request({"kind": self.kind, **given, **fresh}))
        except StudioError as error:
            return {self.ui.note: views.alert(str(error))}
        updates = self._submitted(job_id) | {self.ui.fields[name]: seed for name, seed in fresh.items()}
        if self.engine.active_job(self.kind) and focus.job:
            updates[self.ui.focus] = Focus(job=focus.job)
        return self._and_look(updates, focus, seen)

    def stop(self, focus: Focus, seen: dict[str, Any]) -> Updates:
        """Stops the shown job while it runs or waits, else the one of this tab that has the device."""
        event = self._status(focus.job)
        under_way = event is not None and not isinstance(event, FINAL)
        job_id = focus.job if under_way and self.engine.active_job() == focus.job else self.engine.active_job(self.kind) or focus.job
        return self._careful(lambda: self._told(self.engine.stop, job_id) if job_id else {}, focus, seen)

    def act(self, focus: Focus, seen: dict[str, Any], event: gr.EventData) -> Updates:
        """A button inside the stage, the shelf, or what is beside them."""
        data = dict(event._data or {})
        name = data.get("do")
        if name in ("choose", "show"):
            kept = focus.job if name == "choose" else None
            return self._and_look({self.ui.focus: Focus(job=kept, clip=data["clip"])}, focus, seen)
        action = self.actions.get(str(name))
        return self._careful(lambda: action(data) if action else {}, focus, seen)

    def reset(self, model: str, event: gr.EventData) -> Updates:
        """Back to the defaults: one setting, or all that differ."""
        return self.form.reset(self.ui.fields, event, self.defaults(model))

    def opened(self, draft: dict[str, Any] | None, last_job: str | None, focus: Focus, seen: dict[str, Any]) -> Updates:
        """A page that is loaded again finds its form, and the job that runs now or the one it last ran."""
        values = {name: draft[name] for name in self.form.names if name in draft} if draft else {}
        drafted = {self.ui.fields[name]: value for name, value in values.items()} | self._following(values.get("model") or "", values)
        return self._and_look(drafted | {self.ui.focus: Focus(job=self.engine.active_job(self.kind) or last_job)}, focus, {})

    # -- The model ----------------------------------------------------------------------------------------------------------

    def switched(self, followed: str, model: str | None, focus: Focus, seen: dict[str, Any]) -> Updates:
        """Another model in the header: its limits, and its own settings, for those of another say nothing of it."""
        if (model or "") == followed:
            return {self.ui.followed: followed}  # the form came with its settings
        return self._careful(lambda: self._following(model or "", None) | {self.ui.note: ""}, focus, seen)

    # -- What others ask for ------------------------------------------------------------------------------------------------

    def asked(self, text: str, focus: Focus, seen: dict[str, Any]) -> Updates:
        """Another tab has a job to follow, a clip to show, or settings for the form."""
        errand = Errand.from_text(text)
        return self._careful(lambda: self._errand(errand) if errand else {}, focus, seen)

    def _errand(self, errand: Errand) -> Updates:
        here = PLACES[self.kind]
        if errand.what in (self.kind, FINISHING) and PLACES[errand.what] == here:
            return self._submitted(errand.id)
        if errand.what == "open" and PLACES[self.engine.history.get(errand.id).request.kind] == here:
            return self._shown(errand.id)
        if errand.what == f"{self.kind}-settings":
            return self.fill(parse_clip_request(errand.id))
        return {}

    def fill(self, request: ClipRequest) -> Updates:
        """The form with these settings; the seed is kept for the next run."""
        given = {name: getattr(request, name) for name in self.form.names}
        values = {self.ui.fields[name]: value for name, value in given.items()} | self._following(given["model"], given)
        return values | dict.fromkeys(self.modes.values(), "keep") | {self.ui.note: ""}

    def _shown(self, clip_id: str) -> Updates:
        """A clip on the stage, and its settings in the form."""
        request = self.engine.history.get(clip_id).request
        return (self.fill(request) if self._of_form(request) else {}) | {self.ui.focus: Focus(clip=clip_id)}

    def _of_form(self, request: Request) -> bool:
        """Whether the form can ask for it."""
        return request.kind == self.kind and not (isinstance(request, TextToVideoRequest) and request.tuned_model)

    # -- Looking ------------------------------------------------------------------------------------------------------------

    def look_again(self, focus: Focus, seen: dict[str, Any]) -> Updates:
        """By the clock. A look just before the end waits for it, so that nobody waits for the next look."""
        event = self._status(focus.job)
        if isinstance(event, Step) and event.seconds_left is not None and event.seconds_left < BUSY_SECONDS:
            deque(self.engine.watch(event.job_id, timeout=BUSY_SECONDS / 2), maxlen=0)  # no longer: this tick is to be over at the next
        return self.look(focus, seen)

    def look(self, focus: Focus, seen: dict[str, Any]) -> Updates:
        """The stage, queue and buttons as they are now; only what changed since the last look is sent."""
        try:
            shown, busy, event = self._followed(focus)
            preview = self._preview(event, seen)
            stage, shown = self._picture(shown, event, preview)
            shelf = views.queue(self.engine.queue()) + views.recent(self.engine.history.clips(limit=RECENT), shown.clip)
            beside = self.beside(shown, event)
        except StudioError as error:
            return {self.ui.shelf: views.alert(str(error))}
        now: dict[str, Any] = {"stage": stage, "shelf": shelf, **beside, "busy": busy, "preview": preview}
        updates: Updates = {self.ui.seen: now}
        if shown != focus:  # else a click that came meanwhile would be undone
            updates[self.ui.focus] = shown
        updates |= {html: now[name] for name, html in self.drawn.items() if now[name] != seen.get(name)}
        return updates | (run_buttons(self.ui, busy) if busy != seen.get("busy") else {})

    def _followed(self, focus: Focus) -> tuple[Focus, bool, Event | None]:
        """(what to show now, whether anything runs or waits, where the shown job is). A job that is over gives way to the running one."""
        active = self.engine.active_job(self.kind)
        event = self._status(focus.job)
        over = event is None or isinstance(event, FINAL)
        if active and over and not focus.clip and not focus.stage:
            return Focus(job=active), True, self._status(active)
        return focus, bool(active) or not over, event

    def _preview(self, event: Event | None, seen: dict[str, Any]) -> tuple[str, str]:
        """(job, address) of the newest preview, kept to be shown where a job was stopped."""
        if isinstance(event, Step) and event.preview:
            return event.job_id, views.file_url(event.preview)
        return seen.get("preview", ("", ""))

    def _status(self, job_id: str | None) -> Event | None:
        try:
            return self.engine.status(job_id) if job_id else None
        except JobError:
            return None

    def _picture(self, focus: Focus, event: Event | None, preview: tuple[str, str]) -> tuple[str, Focus]:
        try:
            return self._stage(focus, event, preview), focus
        except JobError:  # the clip was deleted meanwhile
            return self.welcome(), Focus()

    def _stage(self, focus: Focus, event: Event | None, preview: tuple[str, str]) -> str:
        history = self.engine.history
        if focus.clip:
            chosen = history.get(focus.clip)
            clips = event.clips if isinstance(event, Done | Stopped) and chosen in event.clips else (chosen,)
            return stage_views.finished(clips, chosen, finishing.offers(self.engine))
        if isinstance(event, Done | Stopped) and event.clips:
            note = views.status_line(event) if isinstance(event, Stopped) else ""
            return stage_views.finished(event.clips, event.clips[0], finishing.offers(self.engine), note)
        if event is None or isinstance(event, Done):  # Done without clips: they were deleted
            return self.welcome()
        request = clip_request(self.engine.request_of(event.job_id))
        ratio = self._ratio(request)
        if isinstance(event, Stopped | Failed):
            return stage_views.stopped(preview[1] if preview[0] == event.job_id else "", request, event, ratio)
        return stage_views.running(event, request, history.of_job(event.job_id), ratio, self.before(event))

    def _ratio(self, request: ClipRequest) -> float:
        """Of width and height, while there is no clip yet."""
        name, *asked = ("", 0, 0) if isinstance(request, FinishingRequest) else (request.model, request.width, request.height)
        chosen = self._chosen(name)
        width, height = chosen.size(*asked) if chosen else (1, 1)
        return width / height

    def before(self, event: Event) -> str:
        """What is shown of a job that has no preview yet."""
        return stage_views.BLANK

    # -- Shared by the handlers ---------------------------------------------------------------------------------------------

    def _careful(self, action: Any, focus: Focus, seen: dict[str, Any]) -> Updates:
        """Does it, then looks. A person's error goes above the Run button."""
        try:
            updates = action()
        except StudioError as error:
            updates = {self.ui.note: views.alert(str(error))}
        return self._and_look(updates, focus, seen)

    def _and_look(self, updates: Updates, focus: Focus, seen: dict[str, Any]) -> Updates:
        return updates | self.look(updates.get(self.ui.focus, focus), seen)

    def _submitted(self, job_id: str) -> Updates:
        kind = self.engine.request_of(job_id).kind
        if kind not in (self.kind, FINISHING):
            return self._elsewhere(kind, job_id)
        return {self.ui.focus: Focus(job=job_id), self.ui.last_job: job_id, self.ui.note: ""}

    def _finishing(self, step: FinishingStep) -> Callable[[dict[str, str]], Updates]:
        return lambda a: self._submitted(self.engine.submit(self.engine.finishing_of(a["clip"], step)))

    def _used(self, clip_id: str) -> Updates:
        """A clip's settings into the form; those of an edit into the form of edits; of a finished clip, the clip that it was."""
        request = self.engine.history.get(clip_id).request
        if isinstance(request, FinishingRequest):
            return self._source(request)
        if isinstance(request, TextToVideoRequest) and request.tuned_model:
            return self._elsewhere("edit", clip_id)
        return self._settings(request)

    def _settings(self, request: Request) -> Updates:
        if request.kind == self.kind:
            return self.fill(clip_request(request))
        return self._elsewhere(f"{request.kind}-settings", request.model_dump_json())

    def _source(self, request: FinishingRequest) -> Updates:
        clip = source_of(request.source).clip
        if not clip:
            raise InvalidInput("It was a file of yours, not a clip made here.", "Its settings are those above.")
        return {self.ui.focus: Focus(clip=self.engine.history.get(clip).id)}

    def _elsewhere(self, what: str, id: str) -> Updates:
        """Something for another tab to do."""
        return elsewhere(self.ui, what, id)

    def _told(self, action: Any, *values: Any) -> Updates:
        action(*values)
        return {}


def words_and_changes(desk: StageDesk, given: Mapping[str, Any]) -> Sequence[str]:
    """(the words of the prompt that the studio's own model does not know, the settings that differ), as HTML."""
    unknown = "" if given["model"] else views.unknown_words(unknown_words(given["prompt"] or ""), desk.model)
    return unknown, views.changed(desk.form.differing(given, desk.defaults(given["model"])), desk.form.titles, desk.form.prefix)
