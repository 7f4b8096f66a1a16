"""Models from the Hub in a folder of one's own: progress, cancel, resume, what is here, how large, delete. No Gradio, no torch.

    store = ModelStore(data_dir / "models")
    plan = store.plan("Wan-AI/Wan2.1-T2V-1.3B-Diffusers")        # files and bytes, before anything is fetched
    folder = store.download(plan.hub, tell=print, stop=stop)      # a directory in diffusers' layout

Only safetensors and configurations are fetched, never pickles or code. A file that was cut off goes on where it stopped: huggingface_hub
drops the piece that it has, so its own `http_get` is called here with the place to go on from.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from filelock import FileLock, Timeout
from huggingface_hub import HfApi, constants, get_hf_file_metadata, hf_hub_url
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HTTPError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.file_download import http_get
from huggingface_hub.utils import build_hf_headers, tqdm

from pipelines import families
from pipelines.catalog import check_hub_id
from pipelines.errors import DownloadError, JobError, StorageError, UnknownFamily, UnsafeModel, WeightsDamaged, WeightsMissing

from .model_files import NOTE, Plan, RemoteFile, StoredModel, bytes_here, choose_files, leads_out, part_of, stored_in, write_note

ROOM_TO_SPARE = 512 * 2**20  # bytes that stay free on the disk
SPEED_OVER = 5.0  # seconds that the speed is an average of


@dataclass(frozen=True)
class Progress:
    """Where a download is: bytes here, bytes in all, bytes a second (None before it is known), and the file on its way."""

    done: int
    total: int
    speed: float | None
    file: str

    @property
    def seconds_left(self) -> float | None:
        return (self.total - self.done) / self.speed if self.speed else None


class ModelStore:
    """Models from the Hub, each in a folder of its own.

    Args:
        folder: where they lie.
        offline: asks the Hub for nothing; also when HF_HUB_OFFLINE is set.
        token: of the Hub; None takes HF_TOKEN, or what `hf auth login` left.
        endpoint: another Hub's address; None is HF_ENDPOINT, or the Hub itself.
    """

    def __init__(self, folder: Path, offline: bool = False, token: str | None = None, endpoint: str | None = None) -> None:
        self.folder = folder
        self.endpoint = endpoint or constants.ENDPOINT
        self._offline, self._token = offline, token

    @property
    def offline(self) -> bool:
        return self._offline or constants.is_offline_mode()

    def folder_of(self, hub: str) -> Path:
        """Where a repository's files lie, or would."""
        return self.folder / check_hub_id(hub).replace("/", "--")

    def models(self) -> list[StoredModel]:
        """What is here, by name; half-downloaded models too."""
        return [stored for note in sorted(self.folder.glob(f"*/{NOTE}")) if (stored := stored_in(note.parent))]

    def find(self, hub: str) -> StoredModel | None:
        """The model of a repository; None where nothing of it is here."""
        return stored_in(self.folder_of(hub))

    def plan(self, hub: str, revision: str = "main", file: str = "") -> Plan:
        """What would be fetched.

        Args:
            hub: owner/name, or its address.
            revision: branch, tag or commit.
            file: one safetensors file alone, a LoRA for one.

        Raises:
            InvalidInput: for a name that is none.
            DownloadError: when the Hub cannot be reached, or does not give the model; says why.
            UnsafeModel, UnknownFamily: for pickles, and repositories of another kind.
        """
        hub = check_hub_id(hub)
        if self.offline:
            raise DownloadError(f"{hub!r} was not asked for: the studio is offline.", "Start it without HF_HUB_OFFLINE, or copy it here.")
        with _said(hub, revision):
            info = HfApi(self.endpoint, token=self._token).model_info(hub, revision=revision, files_metadata=True)
        siblings = [RemoteFile(s.rfilename, s.size or 0, s.lfs.sha256 if s.lfs else "") for s in info.siblings or []]
        known = {one.path: one for one in siblings if not leads_out(one.path)}
        chosen = [known[file]] if file in known else choose_files(hub, list(known.values())) if not file else []
        if not chosen:
            raise WeightsMissing(f"{hub!r} has no file {file!r}.", "Look at its list of files on the Hub.")
        if file and not file.endswith(".safetensors"):
            raise UnsafeModel(f"{file!r} is no safetensors file.", "Choose a file in safetensors.")
        return Plan(hub, revision, info.sha or revision, tuple(chosen))

    def download(
        self,
        hub: str,
        revision: str = "main",
        file: str = "",
        tell: Callable[[Progress], Any] | None = None,
        stop: threading.Event | None = None,
    ) -> Path | None:
        """Fetches what is missing of a model; what is whole already is not asked for again.

        Args:
            hub: as of `plan`.
            revision: as of `plan`.
            file: as of `plan`.
            tell: takes progress, several times a second at most.
            stop: may be set from any thread; the download ends, and what is there stays for the next one.

        Returns:
            The folder, or None when it was stopped.

        Raises:
            As `plan`; StorageError when the disk is too small; WeightsDamaged for a file that is not what the Hub promised; JobError when
            it is being downloaded already. Of a model that no family knows only the index is fetched, and nothing stays.
        """
        folder = self.folder_of(hub)
        here = stored_in(folder)
        if self.offline and here and here.whole:
            return folder
        plan = self.plan(hub, revision, file)
        _make(folder)
        try:
            with FileLock(folder / ".lock", timeout=0):
                write_note(folder, plan)
                self._check_room(folder, plan)
                fetch = _Fetch(self, plan, folder, tell, stop or threading.Event())
                return folder if fetch.run() else None
        except Timeout as error:
            raise JobError(f"{plan.hub!r} is being downloaded already.", "Wait for it.") from error
        except UnknownFamily:
            shutil.rmtree(folder, ignore_errors=True)
            raise

    def delete(self, hub: str) -> int:
        """Removes a model, whole or not; the bytes that are free again.

        Raises:
            WeightsMissing: when it is not here.
            StorageError: when a file cannot be removed.
        """
        stored = self.find(hub)
        if stored is None:
            raise WeightsMissing(f"{hub!r} is not here.", "Look at the list of models.")
        try:
            shutil.rmtree(stored.folder)
        except OSError as error:
            raise StorageError(f"{str(stored.folder)!r} cannot be removed ({error}).", "Close what uses it, and try again.") from error
        return stored.bytes

    def _check_room(self, folder: Path, plan: Plan) -> None:
        missing = plan.bytes - sum(bytes_here(folder, file) for file in plan.files)
        free = shutil.disk_usage(folder).free
        if missing and missing + ROOM_TO_SPARE > free:
            raise StorageError(
                f"{plan.hub!r} needs {size_text(missing)} more, and the disk of {str(self.folder)!r} has {size_text(free)} free.",
                "Delete a model, or put the data folder on a larger disk.",
            )


def size_text(count: float) -> str:
    """Bytes for people, in the units that disks are sold in: '12.3 GB'."""
    for unit in ("bytes", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"


# -----------------------------------------------------------------------------------------------------------------------


class _StoppedError(Exception):
    """Leaves `http_get` when somebody asked for it; never leaves this file."""


class _Fetch:
    """One download: its files one after another, each into a `.part` that becomes the file when it is whole."""

    def __init__(self, store: ModelStore, plan: Plan, folder: Path, tell: Callable[[Progress], Any] | None, stop: threading.Event) -> None:
        self.store, self.plan, self.folder, self.tell, self.stop = store, plan, folder, tell, stop
        self.index = next((file.path for file in plan.files if file.path in ("model_index.json", "config.json")), "")
        self.done = sum(bytes_here(folder, file) for file in plan.files)
        self.recent: deque[tuple[float, int]] = deque([(time.monotonic(), self.done)])
        self.told = 0.0

    def run(self) -> bool:
        """Whether all is there; False when it was stopped."""
        try:
            for file in self.plan.files:
                if self.stop.is_set():
                    return False
                if not (self.folder / file.path).exists():
                    self._fetch(file)
                if file.path == self.index:
                    families.family_of(families.read_directory(self.folder))  # before gigabytes of what nobody here can run
            self._say(self.plan.files[-1].path, always=True)
            return True
        except _StoppedError:
            return False
        except OSError as error:
            raise StorageError(f"{self.plan.hub!r} could not be written ({error}).", "Make room on the disk, and go on.") from error

    def _fetch(self, file: RemoteFile) -> None:
        part = part_of(self.folder, file)
        part.parent.mkdir(parents=True, exist_ok=True)
        before = part.stat().st_size if part.exists() else 0
        with _said(self.plan.hub, self.plan.revision):
            address, headers = self._address(file)
            with part.open("ab") as out:
                try:
                    http_get(
                        address,
                        out,
                        resume_size=before,
                        headers=headers,
                        expected_size=file.size or None,
                        tqdm_class=self._bar(file),
                    )
                except OSError as error:
                    if "Consistency check failed" not in str(error):
                        raise
                    part.unlink()
                    raise WeightsDamaged(f"{file.path!r} came in another size than the Hub promised.", "Download it again.") from error
        if file.sha256 and _sha256(part) != file.sha256:
            part.unlink()
            raise WeightsDamaged(f"{file.path!r} is not what the Hub promised (its SHA-256 differs).", "Download it again.")
        os.replace(part, self.folder / file.path)

    def _address(self, file: RemoteFile) -> tuple[str, dict[str, str]]:
        """Where the bytes are, and what to ask with: the token goes to the Hub, not to the server that it sends us to."""
        url = hf_hub_url(self.plan.hub, file.path, revision=self.plan.commit, endpoint=self.store.endpoint)
        headers = build_hf_headers(token=self.store._token)
        location = get_hf_file_metadata(url, headers=dict(headers), endpoint=self.store.endpoint).location or url
        if urlparse(location).netloc != urlparse(url).netloc:
            headers.pop("authorization", None)
        return location, headers

    def _bar(self, file: RemoteFile) -> type[tqdm]:
        """What huggingface_hub tells of bytes that came: a progress bar that draws nothing."""
        fetch = self

        class Bar(tqdm):  # type: ignore[type-arg]
            def __init__(self, *args: Any, **options: Any) -> None:
                super().__init__(*args, **{**options, "disable": True})

            def update(self, n: float | None = 1) -> None:
                fetch.done += int(n or 0)
                fetch._say(file.path)
                if fetch.stop.is_set():
                    raise _StoppedError

        return Bar

    def _say(self, name: str, always: bool = False) -> None:
        now = time.monotonic()
        if self.tell is None or (now - self.told < 0.2 and not always):
            return
        self.told = now
        self.recent.append((now, self.done))
        while len(self.recent) > 2 and now - self.recent[0][0] > SPEED_OVER:
            self.recent.popleft()
        (since, then), span = self.recent[0], now - self.recent[0][0]
        self.tell(Progress(self.done, self.plan.bytes, (self.done - then) / span if since < now and self.done > then else None, name))


@contextmanager
def _said(hub: str, revision: str) -> Iterator[None]:
    """huggingface_hub's errors as one sentence each."""
    try:
        yield
    except OfflineModeIsEnabled as error:
        raise DownloadError(f"{hub!r} was not asked for: the studio is offline.", "Start it without HF_HUB_OFFLINE.") from error
    except GatedRepoError as error:
        remedy = f"Agree to its conditions at https://huggingface.co/{hub}, and set HF_TOKEN to a token of the same account."
        raise DownloadError(f"The authors of {hub!r} ask for consent before it can be downloaded.", remedy) from error
    except RepositoryNotFoundError as error:
        remedy = "Look at its spelling; for a private model set HF_TOKEN to a token that may read it."
        raise DownloadError(f"There is no model {hub!r} on the Hub, or it is private.", remedy) from error
    except RevisionNotFoundError as error:
        raise DownloadError(f"{hub!r} has no revision {revision!r}.", "Use 'main', or look at its branches and tags.") from error
    except HfHubHTTPError as error:
        code = error.response.status_code
        remedy = "Set HF_TOKEN to a token that may read it." if code in (401, 403) else "Try again in some minutes."
        raise DownloadError(f"The Hub did not give {hub!r} (it answered {code}).", remedy) from error
    except HTTPError as error:
        remedy = "Look at the connection, and go on: what is here already is kept."
        raise DownloadError(f"The connection to the Hub broke ({type(error).__name__}).", remedy) from error


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"{str(folder)!r} cannot be made ({error}).", "Choose another data folder.") from error
