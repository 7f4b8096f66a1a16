"""The lines that hold the project together: app -> studio -> pipelines, never back; Gradio only at the top; errors caught at one edge."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SOURCES = sorted(path for folder in ("studio", "pipelines") for path in (ROOT / folder).rglob("*.py"))
GRADIO_FILES = {"studio/app.py", "studio/theme.py", "studio/wall.py"}


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def imports(path: Path, top_level_only: bool = False) -> Iterator[str]:
    """Absolute names of all modules that a file imports."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    package = path.relative_to(ROOT).with_suffix("").parts[:-1]
    for node in tree.body if top_level_only else ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            module = ".".join(part for part in (base, node.module) if part)
            yield from (f"{module}.{alias.name}" for alias in node.names)


def packages(path: Path) -> set[str]:
    return {module.partition(".")[0] for module in imports(path)}


@pytest.mark.parametrize("path", [path for path in SOURCES if name(path).startswith("pipelines/")], ids=name)
def test_pipelines_know_neither_gradio_nor_the_studio(path: Path) -> None:
    assert not packages(path) & {"gradio", "gradio_client", "studio", "app"}


@pytest.mark.parametrize("path", [path for path in SOURCES if name(path).startswith("studio/")], ids=name)
def test_only_the_page_imports_gradio_and_nothing_imports_the_entry_point(path: Path) -> None:
    assert "app" not in packages(path)
    if name(path) not in GRADIO_FILES and not name(path).startswith("studio/tabs/"):
        assert not packages(path) & {"gradio", "gradio_client"}


@pytest.mark.parametrize("path", [path for path in SOURCES if name(path) not in GRADIO_FILES], ids=name)
def test_below_the_page_nobody_imports_it(path: Path) -> None:
    if not name(path).startswith("studio/tabs/"):
        assert not any(module.startswith(("studio.app", "studio.theme", "studio.wall", "studio.tabs")) for module in imports(path))


def test_any_error_is_caught_at_one_edge_only() -> None:
    found = []
    for path in [ROOT / "app.py", *SOURCES]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ExceptHandler):
                caught = {part.id for part in ast.walk(node.type) if isinstance(part, ast.Name)} if node.type else {"Exception"}
                if caught & {"Exception", "BaseException"}:
                    found.append(name(path))
    assert found == ["studio/engine.py"]


@pytest.mark.parametrize("path", [ROOT / "app.py", *SOURCES], ids=name)
def test_files_and_functions_are_of_a_size_to_read(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 400
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            code = node.body[1:] if ast.get_docstring(node) else node.body
            assert not code or (node.end_lineno or 0) - code[0].lineno < 60, node.name
