"""Several models loaded at once: what they share, who makes room for whom, and that nothing is done twice."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from pipelines.errors import WeightsMissing
from pipelines.memory import Job
from studio import parts
from studio.residency import ModelPool
from studio.speeds import Speeds
from tests.pipelines.directories import LAYOUTS, save

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning", "ignore::DeprecationWarning")
PLENTY = 2**40
BESIDE = "cpu:0"  # a device that is not the machine's own memory to the pool, though it is


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three models; the second has the text encoder and the autoencoder of the first."""
    root = tmp_path_factory.mktemp("models")
    first = save("wan", root / "first")
    second = shutil.copytree(first, root / "second")
    from diffusers import WanTransformer3DModel

    torch.manual_seed(7)
    config = WanTransformer3DModel.load_config(first / "transformer")
    WanTransformer3DModel.from_config(config).save_pretrained(second / "transformer")
    return [first, second, save("modelscope", root / "third")]


def roomy(count: int, folders: list[Path]) -> Callable[[str, int], int]:
    """A device with room for so many of the models, as the pool asks it: what the others hold is gone already."""

    def available(device: str, held: int) -> int:
        sizes = [each.bytes for each in pool.resident() if not each.waiting]
        return count * largest - (sum(sizes) - held)

    pool = ModelPool(BESIDE, available=available)
    largest = max(sum(file.stat().st_size for file in folder.rglob("*.safetensors")) for folder in folders) + 1000
    available.pool = pool  # type: ignore[attr-defined]
    return available


def use(pool: ModelPool, path: Path) -> None:
    with pool.borrow(path):
        pass


def small(network: torch.nn.Module) -> bool:
    """Whether weights of it are in 8 bits."""
    return any(parameter.dtype == torch.float8_e4m3fn for parameter in network.parameters())


def places(pool: ModelPool) -> dict[str, bool]:
    """Name -> whether it waits beside the device."""
    return {each.name: each.waiting for each in pool.resident()}


def test_several_models_stay_and_a_second_use_loads_and_moves_nothing(folders: list[Path]) -> None:
    pool = ModelPool("cpu", available=lambda device, held: PLENTY)
    for path in [*folders, *folders]:
        use(pool, path)
    assert (pool.loads, pool.moves) == (3, 0)
    assert places(pool) == {"first": False, "second": False, "third": False}


def test_a_second_use_at_an_unchanged_speed_loads_moves_and_compiles_nothing(
    folders: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipelines.speed.COMPILER", "eager")  # traced as always; the machine code takes a minute
    speeds = Speeds(tmp_path)
    pool = ModelPool("cpu", available=lambda device, held: PLENTY, speeds=speeds)
    speeds.put(folders[0], {"precision": "bfloat16", "weights": "fp8", "compiled": True})
    graphs = torch._dynamo.utils.counters["stats"]

    def made() -> tuple[object, int]:
        with pool.borrow(folders[0]) as resident:
            resident.pipe("a red ball", **LAYOUTS["wan"].order, num_inference_steps=2, generator=torch.Generator().manual_seed(0))
            return resident.switches, graphs["unique_graphs"]

    first = made()
    assert first[1] > 0
    assert made() == first
    assert (pool.loads, pool.moves) == (1, 0)


def test_switches_go_with_a_model_that_waits_and_off_with_one_that_is_forgotten(folders: list[Path], tmp_path: Path) -> None:
    pool: ModelPool = roomy(1, [folders[0], folders[2]]).pool  # type: ignore[attr-defined]
    pool._speeds = Speeds(tmp_path)
    pool._speeds.put(folders[0], {"weights": "fp8"})
    with pool.borrow(folders[0]) as resident:
        network = resident.pipe.denoiser
    use(pool, folders[2])
    assert places(pool)["first"]
    assert small(network)
    use(pool, folders[0])
    assert small(network)
    assert pool.loads == 2
    pool.clear()
    assert not small(network)


def test_parts_with_the_same_files_exist_once(folders: list[Path]) -> None:
    pool = ModelPool("cpu", available=lambda device, held: PLENTY)
    with pool.borrow(folders[0]) as first:
        mine = parts.parts_of(first.pipe)
    with pool.borrow(folders[1]) as second:
        theirs = parts.parts_of(second.pipe)
    assert {name for name in mine if mine[name] is theirs[name]} == {"text_encoder", "vae"}
    assert mine["transformer"] is not theirs["transformer"]


def test_what_was_not_used_for_longest_waits_in_memory_and_comes_back_without_being_read(folders: list[Path]) -> None:
    pool: ModelPool = roomy(1, [folders[0], folders[2]]).pool  # type: ignore[attr-defined]
    use(pool, folders[0])
    use(pool, folders[2])
    assert places(pool) == {"first": True, "third": False}
    use(pool, folders[0])
    assert places(pool) == {"third": True, "first": False}
    assert (pool.loads, pool.moves) == (2, 3)


def test_where_nothing_can_wait_it_is_forgotten(folders: list[Path]) -> None:
    pool: ModelPool = roomy(1, [folders[0], folders[2]]).pool  # type: ignore[attr-defined]
    pool._places.spare = lambda: 0
    use(pool, folders[0])
    use(pool, folders[2])
    assert places(pool) == {"third": False}


def test_what_others_share_stays_when_one_leaves(folders: list[Path]) -> None:
    pool = ModelPool(BESIDE, available=lambda device, held: PLENTY)
    use(pool, folders[0])
    use(pool, folders[1])
    moved: list[int] = []
    pool._places._move = lambda path, part, device: moved.append(len(part))  # type: ignore[method-assign]
    pool._places._evict(folders[0])
    assert moved == [1]


def test_a_job_drives_others_off_before_it_is_made_more_cheaply(folders: list[Path]) -> None:
    pool = ModelPool("cpu", available=lambda device, held: PLENTY)
    use(pool, folders[0])
    with pool.borrow(folders[2]) as resident:
        pool.available = lambda device, held: PLENTY if len(pool.resident()) == 1 else 0
        room = pool.room(resident, folders[2], Job(16, 16, 3))
    assert places(pool) == {"third": False}
    assert room.notes[0] == ""


def test_files_that_were_replaced_are_loaded_again_and_those_that_are_gone_are_named(folders: list[Path], tmp_path: Path) -> None:
    copy = shutil.copytree(folders[0], tmp_path / "copy")
    pool = ModelPool("cpu", available=lambda device, held: PLENTY)
    use(pool, copy)
    weights = next((copy / "transformer").glob("*.safetensors"))
    weights.write_bytes(weights.read_bytes())
    use(pool, copy)
    assert pool.loads == 2
    shutil.rmtree(copy)
    with pytest.raises(WeightsMissing), pool.borrow(copy):
        pass
