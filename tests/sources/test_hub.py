"""The hub client against a small hub on this machine, reached, unreached and brought by hand."""

import hashlib
import http.server
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path

import pandas as pd
import pytest
from tests.helpers import tiny
from wsa.errors import InputError
from wsa.layout import Layout
from wsa.sources import fetch_data, fetch_model, verify
from wsa.suite.schema import DataSpec, ModelSpec

REVISION = "8ccc9b6f36199bec6961081d44eb72fb3f7353f3"
MODEL_FILES = ["config.json", "pytorch_model.bin", "spm.model", "tokenizer_config.json"]


class Hub(http.server.BaseHTTPRequestHandler):
    """The calls of the hub that a snapshot needs: a repository's commit, its tree, its files."""

    def __init__(self, root: Path, *args):
        self.root = root
        super().__init__(*args)

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        parts = self.path.split("?")[0].strip("/").split("/")
        if parts[0] == "api" and "revision" in parts:  # /api/models/owner/name/revision/commit
            self.answer(json.dumps({"id": "/".join(parts[2:4]), "sha": REVISION}).encode(), "info")
        elif parts[0] == "api" and "tree" not in parts:  # the client asks what it may not need
            self.send_error(404)
        elif parts[0] == "api":  # /api/models/owner/name/tree/revision
            folder = self.root / parts[1] / parts[2] / parts[3]
            files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
            tree = [
                {"type": "file", "path": path.relative_to(folder).as_posix(),
                 "size": path.stat().st_size, "oid": etag(path)}
                for path in files
            ]  # fmt: skip
            self.answer(json.dumps(tree).encode(), "tree")
        else:  # /owner/name/resolve/revision/file, or below /datasets
            kind = "datasets" if parts[0] == "datasets" else "models"
            owner, name, _, _, *rest = parts[1:] if kind == "datasets" else parts
            path = self.root.joinpath(kind, owner, name, *rest)
            self.answer(path.read_bytes(), etag(path))

    def answer(self, content: bytes, tag: str):
        self.send_response(200)
        for key, value in {
            "Content-Length": len(content), "ETag": f'"{tag}"', "X-Repo-Commit": REVISION,
        }.items():  # fmt: skip
            self.send_header(key, str(value))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    def log_message(self, *args):
        pass


def etag(path: Path) -> str:
    return hashlib.sha1(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def repositories(tmp_path_factory) -> Path:
    """A model as microsoft/deberta-v3-base is laid out and a data set as nyu-mll/glue is."""
    root = tmp_path_factory.mktemp("hub")
    model = tiny.make_tiny_deberta(root / "models/microsoft/deberta-v3-base")
    for other in ("tf_model.h5", "rust_model.ot", "README.md"):
        (model / other).write_text("not wanted")
    data = root / "datasets/nyu-mll/glue"
    rows = pd.DataFrame(tiny.make_sentences(60), columns=["sentence", "label"])
    rows["idx"] = range(60)
    splits = {"train": rows[:40], "validation": rows[40:], "test": rows[:10].assign(label=-1)}
    (data / "cola").mkdir(parents=True)
    (data / "cola/train-00000-of-00001.parquet").write_text("not wanted")
    (data / "sst2").mkdir()
    for split, part in splits.items():
        part.to_parquet(data / f"sst2/{split}-00000-of-00001.parquet", index=False)
    files = "".join(f"  - split: {split}\n    path: sst2/{split}-*\n" for split in splits)
    (data / "README.md").write_text(
        "---\nconfigs:\n- config_name: cola\n  data_files:\n  - split: train\n"
        f"    path: cola/train-*\n- config_name: sst2\n  data_files:\n{files}---\n# GLUE\n"
    )
    return root


@pytest.fixture(scope="module")
def endpoint(repositories):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Hub, repositories))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def model_spec() -> ModelSpec:
    source = {
        "kind": "hub", "id": "microsoft/deberta-v3-base", "revision": REVISION,
        "files": MODEL_FILES,
    }  # fmt: skip
    return ModelSpec(
        name="deberta", title="DeBERTa", source=source, target_modules=["query_proj"],
        head_modules=["classifier"],
    )  # fmt: skip


def data_spec() -> DataSpec:
    source = {
        "kind": "hub", "id": "nyu-mll/glue", "revision": REVISION,
        "files": ["sst2/*.parquet"],
    }  # fmt: skip
    return DataSpec(name="sst2", title="SST-2", source=source)


FETCH = """
import sys
from pathlib import Path
from wsa.errors import InputError
from wsa.layout import Layout
from wsa.sources import fetch_data, fetch_model
from wsa.suite.schema import DataSpec, ModelSpec
layout = Layout(resources=Path(sys.argv[1]))
try:
    fetch_model(ModelSpec.model_validate_json(sys.argv[2]), layout)
    fetch_data(DataSpec.model_validate_json(sys.argv[3]), layout)
except InputError as error:
    sys.exit(f"InputError: {error}")
"""


def fetch_in_new_process(resources: Path, cache: Path, code: str = FETCH, **environment: str):
    """In a new process: huggingface_hub reads its environment when it is imported."""
    command = [sys.executable, "-c", code, str(resources)]
    command += [model_spec().model_dump_json(), data_spec().model_dump_json()]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=120,
        env=os.environ | {"HF_HOME": str(cache), "NO_PROXY": "127.0.0.1"} | environment,
    )  # fmt: skip


def check_fetched(layout: Layout, repositories: Path) -> None:
    folder = layout.model("deberta")
    assert sorted(path.name for path in folder.iterdir()) == sorted([*MODEL_FILES, "source.json"])
    for name in MODEL_FILES:
        given = repositories / "models/microsoft/deberta-v3-base" / name
        assert (folder / name).read_bytes() == given.read_bytes()
        assert not (folder / name).is_symlink()
    verify(folder)
    rows = tiny.make_sentences(60)
    for split, part in (("train", rows[:40]), ("validation", rows[40:])):
        table = pd.read_parquet(layout.data("sst2") / f"{split}.parquet")
        assert list(zip(table["sentence"], table["label"], strict=True)) == part
    verify(layout.data("sst2"))


def test_model_and_data_are_fetched_once_and_then_need_no_hub(tmp_path, repositories, endpoint):
    cache = tmp_path / "cache"
    done = fetch_in_new_process(tmp_path / "first", cache, HF_ENDPOINT=endpoint)
    assert done.returncode == 0, done.stderr
    check_fetched(Layout(resources=tmp_path / "first"), repositories)
    assert not [path for path in cache.rglob("*") if path.name in ("tf_model.h5", "cola")]
    # a second clone, the hub out of reach: everything comes out of the hub's cache
    done = fetch_in_new_process(tmp_path / "second", cache, HF_HUB_OFFLINE="1")
    assert done.returncode == 0, done.stderr
    check_fetched(Layout(resources=tmp_path / "second"), repositories)


def test_out_of_reach_says_what_is_missing_and_how_to_bring_it(tmp_path):
    resources = tmp_path / "resources"
    done = fetch_in_new_process(resources, tmp_path / "cache", HF_HUB_OFFLINE="1")
    assert "InputError" in done.stderr and "Traceback" not in done.stderr
    assert f"microsoft/deberta-v3-base@{REVISION} is out of reach" in done.stderr
    for part in [*MODEL_FILES, "hf download microsoft/deberta-v3-base", f"--revision {REVISION}"]:
        assert part in done.stderr
    where = resources / "archives" / f"microsoft--deberta-v3-base@{REVISION[:12]}"
    assert f"bring the folder here as {where}" in done.stderr
    assert not (resources / "models" / "deberta").exists()


def test_a_hub_that_never_answers_is_given_up(tmp_path):
    """A server that takes connections and says nothing, as behind some firewalls."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        code = (
            "import huggingface_hub\n"
            "info = huggingface_hub.HfApi.repo_info\n"
            "def soon(*args, timeout, **kwargs):\n"
            "    assert timeout <= 30\n"
            "    return info(*args, timeout=timeout / 15, **kwargs)\n"
            "huggingface_hub.HfApi.repo_info = soon\n"
        )
        done = fetch_in_new_process(
            tmp_path / "resources", tmp_path / "cache", code + FETCH, HF_ENDPOINT=endpoint
        )
    assert "InputError" in done.stderr and "is out of reach" in done.stderr
    assert "Traceback" not in done.stderr


def test_folders_brought_from_another_machine(tmp_path, repositories, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    layout = Layout(resources=tmp_path)
    model = layout.archives / f"microsoft--deberta-v3-base@{REVISION[:12]}"
    data = layout.archives / f"nyu-mll--glue@{REVISION[:12]}"
    shutil.copytree(repositories / "models/microsoft/deberta-v3-base", model)
    shutil.copytree(repositories / "datasets/nyu-mll/glue", data)
    fetch_model(model_spec(), layout)
    fetch_data(data_spec(), layout)
    check_fetched(layout, repositories)
    (model / "spm.model").unlink()
    with pytest.raises(InputError, match="lacks spm.model") as error:
        fetch_model(model_spec(), layout)
    assert f"hf download microsoft/deberta-v3-base {' '.join(MODEL_FILES)}" in str(error.value)


def test_a_whole_repository_has_configurations(tmp_path, repositories):
    layout = Layout(resources=tmp_path)
    data = layout.archives / f"nyu-mll--glue@{REVISION[:12]}"
    shutil.copytree(repositories / "datasets/nyu-mll/glue", data)

    def spec(config: str | None) -> DataSpec:
        source = data_spec().source.model_copy(update={"files": None, "config": config})
        return data_spec().model_copy(update={"source": source})

    fetch_data(spec("sst2"), layout)
    rows = tiny.make_sentences(60)
    table = pd.read_parquet(layout.data("sst2") / "validation.parquet")
    assert list(zip(table["sentence"], table["label"], strict=True)) == rows[40:]
    for wrong in ("sst3", None):
        with pytest.raises(InputError, match="source.config"):
            fetch_data(spec(wrong), layout)
    text = (data / "README.md").read_text()
    (data / "README.md").write_text(text.replace("split: validation", "split: dev"))
    with pytest.raises(InputError, match="has no split 'validation'") as error:
        fetch_data(spec("sst2"), layout)
    assert "train, dev, test" in str(error.value)


def test_a_column_that_is_not_there_is_told_of_the_data_set(tmp_path):
    layout = Layout(resources=tmp_path)
    folder = layout.archives / f"nyu-mll--glue@{REVISION[:12]}" / "sst2"
    folder.mkdir(parents=True)
    for split in ("train", "validation"):
        pd.DataFrame({"text": ["a"], "label": [1]}).to_parquet(folder / f"{split}.parquet")
    with pytest.raises(InputError, match="data set 'sst2': train.parquet columns: .*sentence"):
        fetch_data(data_spec(), layout)
