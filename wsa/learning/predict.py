"""What a model says of every sentence."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float32
from torch import nn

from wsa.learning.batches import TokenTable, evaluation_batches
from wsa.suite.schema import Protocol


def predict(
    model: nn.Module, table: TokenTable, protocol: Protocol
) -> Float32[np.ndarray, "sentences k"]:
    """The logits of every sentence, in the order of the table; k is the outputs of the head."""
    model.eval()
    device = next(model.parameters()).device.type
    logits: np.ndarray | None = None
    with torch.inference_mode():
        for indices in evaluation_batches(table.lengths, protocol):
            batch = table.batch(indices)
            del batch["labels"]
            with torch.autocast(device, torch.bfloat16, enabled=protocol.precision == "bfloat16"):
                found = model(**batch).logits.float().cpu().numpy()
            if logits is None:
                logits = np.zeros((len(table.lengths), found.shape[1]), dtype=np.float32)
            logits[indices] = found
    return logits
