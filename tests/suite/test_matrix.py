"""Every method of PEFT and of ours works from end to end, or is refused before any training."""

from __future__ import annotations

import warnings

import pytest
import torch
from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING
from tests.helpers.matrix import PAGE, ROWS, page
from tests.helpers.project import make_project, prepare
from wsa.errors import InputError
from wsa.learning.batches import TokenTable
from wsa.learning.checkpoint import Checkpoints
from wsa.learning.loop import Loop
from wsa.learning.models import CannotMergeError, is_head, merge, save_trained
from wsa.stages.check import check_method
from wsa.stages.session import Session
from wsa.suite.schema import Method

WORKS = [row for row in ROWS if not row.refused]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    return prepare(make_project(tmp_path_factory.mktemp("matrix"), methods=["spectral_a"]))


def suite_with(prepared, row):
    method = Method(title=row.name, adapter=row.tried, learning_rate=1e-2)
    return prepared[0].model_copy(update={"methods": {"method": method}}), prepared[1]


def frozen_weights(model) -> dict[str, torch.Tensor]:
    """What is the pretrained model's own and should not train, as it is now."""
    return {
        name: parameter.detach().clone()
        for name, parameter in model.named_parameters()
        if not parameter.requires_grad and "default" not in name.split(".")
    }


def logits(model, batch) -> torch.Tensor:
    model.eval()
    with torch.no_grad():
        return model(**{key: value for key, value in batch.items() if key != "labels"}).logits


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("row", WORKS, ids=lambda row: row.name)
def test_what_is_said_to_work_does(prepared, tmp_path, row):
    """Checked; trained by the loop; saved; loaded into a fresh model; merged where it can be."""
    suite, layout = suite_with(prepared, row)
    check_method(suite, "method", layout)
    session, method = Session(suite, layout), suite.methods["method"]
    model = session.attached(method, seed=0)
    before = {n: p.detach().clone() for n, p in model.named_parameters() if p.requires_grad}
    frozen = frozen_weights(model)
    table = TokenTable(session.training, session.device)
    loop = Loop(model, method, suite, 0, table, session.device)
    loop.run("matrix", Checkpoints(tmp_path / "checkpoints", {}, 1e9))

    body = [name for name in before if not is_head(name, suite.model)]
    after = dict(model.named_parameters())
    assert body and any(not torch.equal(before[name], after[name]) for name in body)
    assert all(torch.equal(weight, after[name]) for name, weight in frozen.items())

    batch = table.batch(torch.arange(16).numpy())
    trained = logits(model, batch)
    (tmp_path / "trained").mkdir()
    save_trained(model, method, tmp_path / "trained")
    loaded = session.trained(method, 0, tmp_path / "trained")
    torch.testing.assert_close(logits(loaded, batch), trained, atol=1e-5, rtol=1e-5)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            merged = merge(loaded)
        except CannotMergeError:
            assert not row.merges
            return
    assert row.merges
    torch.testing.assert_close(logits(merged, batch), trained, atol=1e-4, rtol=1e-4)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("row", [row for row in ROWS if row.refused], ids=lambda row: row.name)
def test_what_is_said_to_be_refused_is_in_these_words(prepared, row):
    suite, layout = suite_with(prepared, row)
    with pytest.raises(InputError) as error:
        check_method(suite, "method", layout)
    problem, _, remedy = str(error.value).partition("what to do: ")
    assert "suites/tiny.yaml: methods.method" in problem
    assert row.refused in problem and row.instead in remedy


def test_no_type_that_peft_has_is_left_out():
    types = {str(getattr(key, "value", key)) for key in PEFT_TYPE_TO_CONFIG_MAPPING}
    assert types <= {row.adapter["peft_type"] for row in ROWS}


def test_the_document_is_what_is_tried_here():
    assert PAGE.read_text(encoding="utf-8") == page(), "run: python -m tests.helpers.matrix"


def test_adalora_gives_up_the_ranks_that_its_schedule_says(prepared, tmp_path):
    """The allocator is called in every step: of 4 directions a module, 2 are left on average."""
    (row,) = (row for row in WORKS if row.name == "AdaLoRA")
    suite, layout = suite_with(prepared, row)
    session, method = Session(suite, layout), suite.methods["method"]
    model = session.attached(method, seed=0)
    table = TokenTable(session.training, session.device)
    loop = Loop(model, method, suite, 0, table, session.device)
    left = []
    for _ in loop.batches:
        loop.train_step(Checkpoints(tmp_path, {}, 1e9))
        values = [p for name, p in model.named_parameters() if "lora_E" in name]
        left.append(sum(int((value != 0).sum()) for value in values))
    modules = len(values)
    assert max(left[:3]) == 4 * modules and left[-1] == 2 * modules
    assert all(more >= fewer for more, fewer in zip(left, left[1:], strict=False))
