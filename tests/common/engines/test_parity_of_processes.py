"""Two processes that share a batch (gloo) train as one with the whole batch does."""

import json
import os
import subprocess
import sys
from pathlib import Path

import torch
from ignite.engine import Events
from meanteacher import MeanTeacherObjective
from torch import distributed

from common.engines import SemiSupervisedTrainer
from common.handlers import EMAHandler
from common.losses import SupervisedLoss
from common.networks import UNet2D
from common.transforms import Batch

ROOT = Path(__file__).resolve().parents[3]
STEPS = 4
TERMS = ("loss", "supervised", "consistency")


def batches():
    """Batches of 2 + 2 images."""
    generator = torch.Generator().manual_seed(0)
    for _ in range(STEPS):
        image = torch.randn(4, 1, 32, 32, generator=generator)
        yield Batch(image, (image[:2] > 0).to(torch.uint8))


def trained(rank=0, processes=1):
    """Terms of each step, of the part of the batches that a process has, and the weights behind the last."""
    torch.manual_seed(rank)  # DistributedDataParallel gives all the weights of the first

    def network():
        return UNet2D(out_channels=2, base_channels=2, dropout=0.0, norm="instance")

    student, teacher = network(), network()
    for parameter in teacher.parameters():
        parameter.requires_grad_(False)
    objective = MeanTeacherObjective(
        student, teacher, SupervisedLoss(dice_weight=0.0, ce_weight=1.0), {"consistency": 0.5},
        target="soft", mixup_alpha=0, noise_std=0.0,
    )  # fmt: skip
    rows = [*range(rank, 2, processes)]
    parts = [Batch(b.image[[*rows, *(2 + n for n in rows)]], b.label[rows]) for b in batches()]
    optimizer = torch.optim.SGD(student.parameters(), 0.5, momentum=0.9)
    trainer = SemiSupervisedTrainer(
        "cpu", 1, parts, objective, optimizer, {"amp": False}, [EMAHandler(student, teacher)]
    )
    seen = []
    trainer.add_event_handler(
        Events.ITERATION_COMPLETED, lambda e: seen.append([float(e.state.output[name]) for name in TERMS])
    )
    trainer.run()
    weights = [float(p.detach().double().norm()) for p in (*student.parameters(), *teacher.parameters())]
    return seen, weights


def test_losses_of_two_processes_are_those_of_one(tmp_path):
    environment = {
        **os.environ, "MASTER_ADDR": "127.0.0.1", "OMP_NUM_THREADS": "1", "WORLD_SIZE": "2", "CUDA_VISIBLE_DEVICES": "",
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "bundles" / "meanteacher_segmentation")]),
    }  # fmt: skip
    command, place = [sys.executable, __file__], f"file://{tmp_path}/meeting"
    started = [
        subprocess.Popen([*command, str(rank), place], env=environment, stdout=subprocess.PIPE, text=True)
        for rank in (0, 1)
    ]
    whole, weights = trained()
    texts = [process.communicate(timeout=200)[0] for process in started]
    (first, first_weights), (second, second_weights) = (json.loads(text.splitlines()[-1]) for text in texts)
    mean = (torch.tensor(first) + torch.tensor(second)) / 2
    torch.testing.assert_close(mean, torch.tensor(whole), atol=1e-5, rtol=0)
    assert first != second  # each saw a part of its own
    assert max(abs(a[0] - b[0]) for a, b in zip(whole, whole[1:])) > 1e-3  # the steps do something
    for found in (first_weights, second_weights):
        torch.testing.assert_close(torch.tensor(found), torch.tensor(weights), atol=1e-5, rtol=1e-5)


if __name__ == "__main__":
    number, where = int(sys.argv[1]), sys.argv[2]
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=where, rank=number, world_size=2)
    print(json.dumps(trained(number, 2)))  # noqa: T201
    distributed.destroy_process_group()
