"""The history: newest first, searched by words, deleted with its files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from pipelines.errors import JobError, StorageError
from studio.history import ClipRecord, History, Store
from studio.requests import TextToVideoRequest


@pytest.fixture
def history(tmp_path: Path) -> Iterator[History]:
    store = Store(f"sqlite:///{tmp_path / 'studio.db'}")
    yield History(store, tmp_path)
    store.close()


def add(history: History, id: str, prompt: str = "a red ball", job_id: str = "job") -> ClipRecord:
    path = history.data_dir / "clips" / f"{id}.mp4"
    path.parent.mkdir(exist_ok=True)
    for suffix in (".mp4", ".png", ".gif"):
        path.with_suffix(suffix).touch()
    return history.add(id=id, job_id=job_id, path=path, request=TextToVideoRequest(prompt=prompt), width=64, height=64)


def ids(clips: list[ClipRecord]) -> list[str]:
    return [clip.id for clip in clips]


def test_clips_come_newest_first_and_in_pages(history: History) -> None:
    for id in "abcde":
        add(history, id)
    assert ids(history.clips(limit=2)) == ["e", "d"]
    assert ids(history.clips(limit=2, offset=3)) == ["b", "a"]


def test_search_wants_every_word_in_any_case(history: History) -> None:
    add(history, "a", "A red ball")
    add(history, "b", "a blue ball")
    assert ids(history.clips("BALL red")) == ["a"]
    assert (history.count("ball"), history.count("green"), history.count()) == (2, 0, 2)


@pytest.mark.parametrize("word", ["%", "_", "\\", "'"])
def test_search_takes_signs_as_they_are(history: History, word: str) -> None:
    add(history, "a", "plain")
    add(history, "b", f"with {word} sign")
    assert ids(history.clips(word)) == ["b"]


def test_a_record_comes_back_as_it_was_added(history: History) -> None:
    added = add(history, "a", "a red ball 🎈")
    assert history.get("a") == added
    assert added.created.tzinfo is not None


def test_clips_of_a_job_come_in_the_order_they_were_made(history: History) -> None:
    for id in "ab":
        add(history, id)
    add(history, "c", job_id="another")
    assert [clip.id for clip in history.of_job("job")] == ["a", "b"]


def test_deleting_removes_row_and_files(history: History) -> None:
    clip = add(history, "a")
    history.delete("a")
    assert history.count() == 0
    assert list(clip.path.parent.iterdir()) == []


def test_deleting_a_clip_whose_file_is_gone_is_fine(history: History) -> None:
    add(history, "a").path.unlink()
    history.delete("a")
    assert history.count() == 0


def test_what_cannot_be_deleted_stays_in_the_history(history: History) -> None:
    clip = add(history, "a")
    clip.path.unlink()
    clip.path.mkdir()
    with pytest.raises(StorageError, match="cannot be deleted"):
        history.delete("a")
    assert ids(history.clips()) == ["a"]


def test_an_unknown_clip_is_named(history: History) -> None:
    with pytest.raises(JobError, match="There is no video 'nope'"):
        history.get("nope")


def test_the_data_folder_can_be_moved(history: History, tmp_path: Path) -> None:
    add(history, "a")
    moved = History(history.store, tmp_path / "elsewhere")
    assert moved.get("a").path == tmp_path / "elsewhere" / "clips" / "a.mp4"


@pytest.mark.parametrize("url", ["sqlite:////proc/nope/studio.db", "nonsense", "postgresql+nodriver://x"])
def test_a_database_that_cannot_be_opened_is_named(url: str) -> None:
    with pytest.raises(StorageError, match="database"):
        Store(url)


def test_a_clip_is_found_by_its_settings_and_weights(history: History) -> None:
    clip = add(history, "a")
    assert history.find(clip.request, "") == clip
    assert history.find(clip.request, "others") is None
    assert history.find(clip.request.model_copy(update={"seed": 1}), "") is None
    clip.path.unlink()
    assert history.find(clip.request, "") is None


def test_a_database_of_an_earlier_version_is_opened_and_keeps_its_clips(history: History, tmp_path: Path) -> None:
    clip = add(history, "a")
    with history.store.database.begin() as connection:
        connection.execute(text("ALTER TABLE clips DROP COLUMN weights"))
    after = History(Store(history.store.url), tmp_path)
    assert after.get("a") == clip
    assert add(after, "b").id == "b"
    after.store.close()
