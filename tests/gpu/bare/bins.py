"""A rank that packs examples and reads the bins, once as they are and once with other neighbours.

What packs, collates and scores is the trainer's own; nothing is trained. Leaves `outcome.json`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from tests.gpu.bare.alone import OUTCOME, read_job


def main(folder: Path) -> None:
    """Of the fullest bin's second example: its loss alone, in the bin, and beside other texts."""
    import torch

    from infra.training.engine import join_ranks, settle_process
    from infra.training.trainer import StudentTrainer, attention_for, training_arguments
    from tests.gpu.bare.alone import FolderLink

    job, examples = read_job(folder)
    config = job.config
    settle_process(config)
    joined = join_ranks(config)
    from infra.engines.chat import load_tokenizer
    from infra.training.data import prepare_data
    from infra.training.student import add_token, load_student

    tokenizer = load_tokenizer(job.base)
    add_token(tokenizer)
    data = prepare_data(tokenizer, examples, config)
    arguments = training_arguments(
        config, data, output=folder / "trainer", joined=joined, universal=False
    )
    attention = attention_for(config)
    model, tokenizer = load_student(job.base, config, attention=attention)
    trainer: Any = StudentTrainer(
        model, arguments, data=data, tokenizer=tokenizer, config=config,
        link=FolderLink(folder, examples),
    )  # fmt: skip
    device = "cuda" if config.device == "gpu" else "cpu"
    model = trainer.model.to(device).eval()

    def losses(lengths: list[int], ids: list[int]) -> Any:
        """Of each token behind the first of its own document, nats."""
        row = {"input_ids": ids, "labels": list(ids), "seq_lengths": lengths}
        inputs = trainer._prepare_inputs(trainer.data_collator([row]))
        with torch.no_grad(), torch.autocast(device, enabled=False):
            found = model(**inputs, use_cache=False, fused_lm_head=True)
        dense = torch.zeros(found.label_mask.shape, dtype=torch.float64)
        dense[found.label_mask.bool().cpu()] = -found.log_probs.double().cpu().flatten()
        return dense.flatten()

    bins = [row for row in trainer.train_dataset if len(row.get("seq_lengths", ())) >= 3]
    fullest = max(bins, key=lambda row: len(row["input_ids"]))
    lengths, ids = list(fullest["seq_lengths"]), list(fullest["input_ids"])
    start, stop = lengths[0], lengths[0] + lengths[1]
    packed = losses(lengths, ids)
    others = [*reversed(ids[:start]), *ids[start:stop], *reversed(ids[stop:])]
    beside = losses(lengths, others)
    alone = losses([lengths[1]], ids[start:stop])
    # Positions of the losses may be shifted by one; what is compared is the document's own sums.
    mine, theirs, lone = (
        each[each.nonzero().flatten()] for each in (packed[start:stop], beside[start:stop], alone)
    )
    count = min(len(mine), len(lone))
    outcome = {
        "attention": attention,
        "bins": len(bins), "examples_a_bin": len(lengths), "tokens_a_bin": len(ids),
        "contamination": float((mine - theirs).abs().max()),
        "packed_off_alone": float((mine[:count] - lone[:count]).abs().max()),
        "mean_loss": float(mine.mean()),
        "compared_tokens": count,
    }  # fmt: skip
    (folder / OUTCOME).write_text(json.dumps(outcome))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
