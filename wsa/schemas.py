"""JSON schemas of the typed files, for editors and other programs; generated, never edited."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel

from wsa.files import write_json
from wsa.records.evidence import Calibration, Claims, Findings, Inference, Thresholds
from wsa.records.run import Pruning, Result, Training
from wsa.suite.schema import DataSpec, ModelSpec, Suite
from wsa.suite.settings import Settings

_MODELS: dict[str, type[BaseModel]] = {
    "config": Settings,
    "suite": Suite,
    "model": ModelSpec,
    "data": DataSpec,
    "training": Training,
    "pruning": Pruning,
    "result": Result,
    "inference": Inference,
    "thresholds": Thresholds,
    "claims": Claims,
    "findings": Findings,
    "calibration": Calibration,
}


def write_schemas(folder: Path) -> None:
    """Write `<name>.schema.json` of every typed file into `folder`."""
    for name, model in _MODELS.items():
        write_json(folder / f"{name}.schema.json", model.model_json_schema())
